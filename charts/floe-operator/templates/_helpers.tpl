{{/* Labels of everything in this chart. */}}
{{- define "floe-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: floe
{{ include "floe-operator.selector" . }}
{{- end }}

{{/* Labels by which the operator's pods are found. */}}
{{- define "floe-operator.selector" -}}
app.kubernetes.io/name: floe-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The image of all roles. */}}
{{- define "floe-operator.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with .Values.global.imageRegistry -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (regexReplaceAll "^[^/]*[.:][^/]*/" $repository "") -}}
{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end }}
