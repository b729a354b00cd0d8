{{/* Names, labels and images. */}}

{{- define "weir.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels that selectors use; they never change. Argument: dict "root" $ "component" NAME. */}}
{{- define "weir.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* All labels of an object. Argument: dict "root" $ "component" NAME. */}}
{{- define "weir.labels" -}}
{{ include "weir.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Argument: dict "root" $ "gpus" COUNT. */}}
{{- define "weir.image" -}}
{{- $image := .root.Values.image -}}
{{- $gpus := gt (int .gpus) 0 -}}
{{- $digest := ternary $image.gpuDigest $image.digest $gpus -}}
{{- if $digest -}}
{{- printf "%s@%s" $image.repository $digest -}}
{{- else -}}
{{- printf "%s:%s%s" $image.repository (default .root.Chart.AppVersion $image.tag) (ternary $image.gpuTagSuffix "" $gpus) -}}
{{- end -}}
{{- end -}}

{{- define "weir.serviceAccount" -}}
{{- default (ternary (include "weir.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* The jobs run before the release's objects exist, so that theirs is a hook too. */}}
{{- define "weir.jobServiceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- printf "%s-jobs" (include "weir.serviceAccount" .) -}}
{{- else -}}
{{- include "weir.serviceAccount" . -}}
{{- end -}}
{{- end -}}
