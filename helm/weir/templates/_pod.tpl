{{/* What the pods of roles, jobs and the test have in common. */}}

{{- define "weir.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Image, environment and mounts of a container. Argument: dict "root" $ "role" NAME "gpus" COUNT. */}}
{{- define "weir.container" -}}
image: {{ include "weir.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
env:
{{- include "weir.environment" . | trim | nindent 2 }}
{{- with .root.Values.artifacts.credentialsSecret }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - {name: home, mountPath: /var/lib/weir}
  - {name: tmp, mountPath: /tmp}
{{- if .root.Values.artifacts.existingClaim }}
  - {name: artifacts, mountPath: /var/lib/weir-artifacts}
{{- end }}
{{- if .root.Values.kafka.sasl.existingSecret }}
  - {name: kafka-login, mountPath: /etc/weir/kafka-login, readOnly: true}
{{- end }}
{{- if .root.Values.kafka.tls.existingSecret }}
  - {name: kafka-tls, mountPath: /etc/weir/kafka-tls, readOnly: true}
{{- end }}
{{- if .root.Values.database.tlsSecret }}
  - {name: postgres-tls, mountPath: /etc/weir/postgres, readOnly: true}
{{- end }}
{{- if and (eq (default "" .role) "api") .root.Values.api.tls.existingSecret }}
  - {name: api-tls, mountPath: /etc/weir/api-tls, readOnly: true}
{{- end }}
{{- with .root.Values.extraVolumeMounts }}
{{ toYaml . | indent 2 }}
{{- end }}
{{- end -}}

{{/* Secrets are readable by the group of the pod: OpenSSL and libpq refuse keys that all may read.
     Argument: dict "root" $ "role" NAME; a job has no role. */}}
{{- define "weir.volumes" -}}
- name: home
  emptyDir: {sizeLimit: {{ .root.Values.scratch.sizeLimit }}}
- name: tmp
  emptyDir: {sizeLimit: {{ .root.Values.scratch.sizeLimit }}}
{{- with .root.Values.artifacts.existingClaim }}
- name: artifacts
  persistentVolumeClaim: {claimName: {{ . }}}
{{- end }}
{{- with .root.Values.kafka.sasl.existingSecret }}
- name: kafka-login
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .root.Values.kafka.tls.existingSecret }}
- name: kafka-tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .root.Values.database.tlsSecret }}
- name: postgres-tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- if and (eq (default "" .role) "api") .root.Values.api.tls.existingSecret }}
- name: api-tls
  secret: {secretName: {{ .root.Values.api.tls.existingSecret }}, defaultMode: 0440}
{{- end }}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A Service named like a setting would put variables of its name into every pod, hence no service links. */}}
{{- define "weir.podCommon" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "weir.podSecurity" . | nindent 2 }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}
