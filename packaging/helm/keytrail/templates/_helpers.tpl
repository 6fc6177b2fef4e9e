{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{- define "keytrail.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "keytrail.labels" -}}
app.kubernetes.io/name: keytrail
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "keytrail.selector" -}}
app.kubernetes.io/name: keytrail
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: agent
{{- end -}}

{{- define "keytrail.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "keytrail.name" .) -}}
{{- end -}}

{{- define "keytrail.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* "true" where the agent asks the API server */}}
{{- define "keytrail.asksCluster" -}}
{{- if ne .Values.profile "minimal" }}true{{ end -}}
{{- end -}}

{{- define "keytrail.servesMetrics" -}}
{{- if kindIs "bool" .Values.metrics.enabled -}}
{{- if .Values.metrics.enabled }}true{{ end -}}
{{- else if eq .Values.profile "full" }}true{{ end -}}
{{- end -}}

{{/* keytrail.yaml: the chart's own settings go before those of .Values.config */}}
{{- define "keytrail.config" -}}
{{- $mode := ternary "api" "off" (eq (include "keytrail.asksCluster" .) "true") -}}
{{- $kubernetes := dict "mode" $mode "team_annotation" .Values.kubernetes.teamAnnotation -}}
{{- if kindIs "slice" .Values.kubernetes.labels -}}
{{- $_ := set $kubernetes "labels" .Values.kubernetes.labels -}}
{{- end -}}
{{- $history := dict "max_mb" (int .Values.history.maxMb) "retention_days" (int .Values.history.retentionDays) -}}
{{- $own := dict "history" $history "identity" (dict "cloud" .Values.cloud "kubernetes" $kubernetes) -}}
{{- if eq (include "keytrail.servesMetrics" .) "true" -}}
{{- $_ := set $own "prometheus" (dict "listen" (printf "0.0.0.0:%d" (int .Values.metrics.port))) -}}
{{- end -}}
{{- $otlp := .Values.otlp -}}
{{- if .Values.collector.enabled -}}
{{- $endpoint := printf "http://%s-collector.%s:4318" (include "keytrail.name" .) .Release.Namespace -}}
{{- $otlp = append $otlp (dict "name" "own" "endpoint" $endpoint) -}}
{{- end -}}
{{- if $otlp -}}
{{- $_ := set $own "otlp" $otlp -}}
{{- end -}}
{{- mergeOverwrite (deepCopy .Values.config) $own | toYaml -}}
{{- end -}}
