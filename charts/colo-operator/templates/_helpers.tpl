{{- define "colo-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- /* Cut at 50: "-operator-tls" and the like must fit below 63. */ -}}
{{- define "colo-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "colo-operator.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "colo-operator.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "colo-operator.agentName" -}}
{{- include "colo-operator.fullname" . }}-agent
{{- end -}}

{{- define "colo-operator.operatorServiceAccount" -}}
{{- default (include "colo-operator.fullname" .) .Values.serviceAccounts.operator.name -}}
{{- end -}}

{{- define "colo-operator.agentServiceAccount" -}}
{{- default (include "colo-operator.agentName" .) .Values.serviceAccounts.agent.name -}}
{{- end -}}

{{- define "colo-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "colo-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "colo-operator.labels" -}}
{{ include "colo-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Call with (list $ "operator"): the metadata's labels of one component, and annotations where there are any. */ -}}
{{- define "colo-operator.metadata" -}}
{{- $root := index . 0 -}}
labels:
  {{- include "colo-operator.labels" $root | nindent 2 }}
  {{- if gt (len .) 1 }}
  app.kubernetes.io/component: {{ index . 1 }}
  {{- end }}
{{- with $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "colo-operator.image" -}}
{{- $root := index . 0 -}}
{{- $role := index . 1 -}}
{{- $image := $root.Values.image -}}
{{- $digest := index $image.digest $role -}}
{{- if $digest -}}
{{- printf "%s-%s@%s" $image.repository $role $digest -}}
{{- else -}}
{{- printf "%s-%s:%s" $image.repository $role (default $root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* Kubernetes 1.20 knows only policy/v1beta1, 1.25 no longer does. */ -}}
{{- define "colo-operator.pdbApiVersion" -}}
{{- if and (semverCompare ">=1.21-0" .Capabilities.KubeVersion.Version) (.Capabilities.APIVersions.Has "policy/v1") -}}
policy/v1
{{- else -}}
policy/v1beta1
{{- end -}}
{{- end -}}

{{- /* From 1.30 a service account's token names its pod's node; a policy that asks for the node would refuse every agent before. */ -}}
{{- define "colo-operator.hasAdmissionPolicy" -}}
{{- if and .Values.admissionPolicy.enabled (semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version) (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1") -}}
true
{{- end -}}
{{- end -}}

{{- /* The authority is the chart's own and its key is here: the operator gives each node's agent a certificate of its own. */ -}}
{{- define "colo-operator.signsAgents" -}}
{{- if and (eq .Values.tls.mode "selfSigned") (not .Values.tls.agentHostPath) }}true{{ end -}}
{{- end -}}

{{- /* Every agent then has a certificate for its node, and one that names none is refused. */ -}}
{{- define "colo-operator.nodeNamesRequired" -}}
{{- if and (include "colo-operator.hasTls" .) (or .Values.tls.agentHostPath (include "colo-operator.signsAgents" .)) }}true{{ end -}}
{{- end -}}

{{- define "colo-operator.hasTls" -}}
{{- if ne .Values.tls.mode "none" }}true{{ end -}}
{{- end -}}
