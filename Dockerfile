# Both images of ColoOperator from one file:
#
#   docker build --target operator -t REPOSITORY-operator:TAG .
#   docker build --target agent    -t REPOSITORY-agent:TAG .
#
# Where no registry is at hand, any image with the .NET 10 SDK, and any with its ASP.NET runtime, will do (made from Debian, say):
#
#   buildah bud --build-arg SDK_IMAGE=localhost/dotnet-sdk:10 --build-arg RUNTIME_IMAGE=localhost/aspnet:10 --target agent .
#
# and where the programs are already built, nothing is compiled: PUBLISHED_FROM=published takes artifacts/publish/{operator,agent}
# (`dotnet publish src/Colo.Agent -c Release -o artifacts/publish/agent`) from the build context.

ARG SDK_IMAGE=mcr.microsoft.com/dotnet/sdk:10.0
# Without a shell and without a package manager; a debug container brings both.
ARG RUNTIME_IMAGE=mcr.microsoft.com/dotnet/aspnet:10.0-noble-chiseled
# build | published
ARG PUBLISHED_FROM=build

FROM ${SDK_IMAGE} AS build
WORKDIR /source
ENV DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
COPY global.json Directory.Build.props Directory.Packages.props ./
COPY src/ src/
RUN dotnet publish src/Colo.Operator/Colo.Operator.csproj -c Release -p:RunAnalyzers=false -p:DebugType=none -p:UseAppHost=false -o /publish/operator
RUN dotnet publish src/Colo.Agent/Colo.Agent.csproj -c Release -p:RunAnalyzers=false -p:DebugType=none -p:UseAppHost=false -o /publish/agent

FROM scratch AS published
COPY artifacts/publish/ /publish/

FROM ${PUBLISHED_FROM} AS programs

# The agent runs as root: it owns the disks in its pools and the sockets of the guests. It needs no capability.
FROM ${RUNTIME_IMAGE} AS agent
LABEL org.opencontainers.image.title="colo-agent" \
      org.opencontainers.image.description="Holds the replicas of one node" \
      org.opencontainers.image.licenses="Apache-2.0"
# Diagnostics would write into a file system that is read-only.
ENV DOTNET_EnableDiagnostics=0 DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1
USER 0:0
WORKDIR /
COPY --from=programs /publish/agent/ /app/
EXPOSE 9540 9541 9542 9543
ENTRYPOINT ["dotnet", "/app/colo-agent.dll"]

FROM ${RUNTIME_IMAGE} AS operator
LABEL org.opencontainers.image.title="colo-operator" \
      org.opencontainers.image.description="Drives the ReplicatedVolumes of a cluster" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV DOTNET_EnableDiagnostics=0 DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1
# A number, not a name: runAsNonRoot can be checked, and no /etc/passwd is needed.
USER 65532:65532
WORKDIR /
COPY --from=programs /publish/operator/ /app/
EXPOSE 8080
ENTRYPOINT ["dotnet", "/app/colo-operator.dll"]
