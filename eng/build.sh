#!/usr/bin/env bash
# Builds the solution once, quietly; the whole log is kept. Warnings are errors.
set -euo pipefail
cd "$(dirname "$0")/.."

configuration=${CONFIGURATION:-Release}
mkdir -p artifacts
start=$SECONDS
if ! dotnet build ColoOperator.sln -c "$configuration" -v quiet -nologo -clp:NoSummary >artifacts/build.log 2>&1; then
  cat artifacts/build.log >&2
  echo "build failed (artifacts/build.log)" >&2
  exit 1
fi
echo "built ($configuration) in $((SECONDS - start)) s"
