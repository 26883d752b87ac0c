{{/* Labels of everything in this chart. */}}
{{- define "floe-committee.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: floe-committee
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: floe
{{- end }}

{{/* The Committee's spec: the chart's own values, then whatever `spec` says. */}}
{{- define "floe-committee.spec" -}}
{{- $storage := dict "size" .Values.storage.size -}}
{{- with .Values.storage.storageClassName -}}
{{- $_ := set $storage "storageClassName" . -}}
{{- end -}}
{{- $spec := dict
  "replicas" (int .Values.replicas)
  "storage" $storage
  "encoding" (dict "shards" (int .Values.encoding.shards))
  "gateway" (dict "replicas" (int .Values.gateway.replicas))
  "template" (dict "resources" .Values.resources)
-}}
{{- with .Values.image -}}
{{- $_ := set $spec "image" . -}}
{{- end -}}
{{- with .Values.imagePullSecrets -}}
{{- $_ := set $spec "imagePullSecrets" . -}}
{{- end -}}
{{- mergeOverwrite $spec (deepCopy .Values.spec) | toYaml -}}
{{- end }}

{{/* The image with which the test runs. */}}
{{- define "floe-committee.testImage" -}}
{{- coalesce .Values.test.image (dig "image" "" .Values.spec) .Values.image (printf "ghcr.io/floe-dev/floe:%s" .Chart.AppVersion) -}}
{{- end }}
