#!/usr/bin/env bash
# Runs every test project that `make build` built, JOBS at a time, each with its own log and result file under artifacts/test,
# and adds up what they report. The last line of output is the sum: "N passed, N failed[, N skipped]".
#
# A project that crashes, hangs or runs no test at all counts as one failure: silence is not success.
set -euo pipefail
cd "$(dirname "$0")/.."

configuration=${CONFIGURATION:-Release}
jobs=${JOBS:-2}
filter=${FILTER:-}
results=artifacts/test
# Of some hundred processes that live for seconds each: a start costs a tenth less without the profiling for later optimisation.
export DOTNET_TieredPGO=0
# A hang detector, far above what the slowest project needs on a busy two-core machine (Colo.Operator.Tests was seen to need more than 1,200 s).
limit_seconds=${TEST_TIMEOUT_SECONDS:-2400}

# The slow ones first, so that they do not trail behind the rest.
select_projects() {
  if [[ -n ${TESTS:-} ]]; then
    tr -s ' ' '\n' <<<"$TESTS"
    return
  fi
  local slow="Colo.Cli.Tests Colo.Agent.Tests Colo.EndToEnd.Tests Colo.Conformance.Tests" name
  for name in $slow; do [[ -d tests/$name ]] && echo "$name"; done
  for name in tests/*.Tests; do
    name=${name#tests/}
    [[ " $slow " == *" $name "* ]] || echo "$name"
  done
}

# "passed failed skipped". What a terminal printed stands in the file with its control characters as they are, which is no JSON.
summary_of() {
  tr -d '\000-\037' <"$results/$1.json" 2>/dev/null | jq -r '.results.summary | "\(.passed) \(.failed) \(.skipped)"' 2>/dev/null
}

# Of each failed test its name and the first line of its message; what a log's end alone would not tell.
failures_of() {
  tr -d '\000-\037' <"$results/$1.json" 2>/dev/null |
    jq -r '.results.tests[] | select(.status == "failed") | "FAILED \(.name): \((.message // "")[0:400])"' 2>/dev/null || true
}

# One project: its own summary into $name.sum as "passed failed skipped".
run_project() {
  local name=$1 executable arguments=() start=$SECONDS code=0 passed=0 failed=0 skipped=0 note=""
  executable=tests/$name/bin/$configuration/net10.0/$name
  [[ -n $filter ]] && arguments=(-method "$filter")
  rm -f "$results/$name".{json,log,sum}
  timeout --kill-after=10 "$limit_seconds" "$executable" -noColor -noLogo -result-ctrf "$results/$name.json" "${arguments[@]}" \
    >"$results/$name.log" 2>&1 </dev/null || code=$?

  if [[ $code -eq 124 || $code -eq 137 ]]; then
    failed=1 note="still ran after $limit_seconds s, or was killed"
  elif ! read -r passed failed skipped < <(summary_of "$name"); then
    passed=0 failed=1 skipped=0 note="exit $code without a result"
  elif [[ $passed -eq 0 && $failed -eq 0 && -z $filter ]]; then
    failed=1 note="ran no test"
  elif [[ $code -ne 0 && $failed -eq 0 && -z $filter ]]; then
    failed=1 note="exit $code although no test failed"
  fi

  echo "$passed $failed $skipped" >"$results/$name.sum"
  printf '%-26s %5d passed %4d failed %4d skipped %5d s  %s\n' "$name" "$passed" "$failed" "$skipped" $((SECONDS - start)) "$note"
  if [[ $failed -gt 0 ]]; then
    echo "---- $results/$name.log ----"
    # The failures with their messages; where there is none (a crash), the end of the log.
    grep -A 25 -F '[FAIL]' "$results/$name.log" | head -n 200 || tail -n 60 "$results/$name.log"
    echo "----"
  fi
}

main() {
  mkdir -p "$results"
  # Before the clock of any project runs: on a new machine this builds Kubernetes.
  eng/kube.sh >/dev/null
  local names name passed=0 failed=0 skipped=0 p f s start=$SECONDS running=0
  mapfile -t names < <(select_projects)
  for name in "${names[@]}"; do
    if [[ $running -ge $jobs ]]; then
      wait -n
      running=$((running - 1))
    fi
    { run_project "$name" >"$results/$name.out" 2>&1 || true; cat "$results/$name.out"; } &
    running=$((running + 1))
  done
  wait

  for name in "${names[@]}"; do
    if ! read -r p f s <"$results/$name.sum"; then
      p=0 f=1 s=0
      echo "$name: no result"
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  done
  if [[ $((passed + failed)) -eq 0 ]]; then
    failed=1
    echo "no test was run"
  fi

  for name in "${names[@]}"; do
    read -r p f s <"$results/$name.sum" || f=1
    [[ $f -eq 0 ]] || { echo "FAILED in $name"; failures_of "$name"; }
  done

  echo "tests took $((SECONDS - start)) s; logs and results are in $results"
  echo "$passed passed, $failed failed$([[ $skipped -gt 0 ]] && echo ", $skipped skipped")"
  [[ $failed -eq 0 ]]
}

main
