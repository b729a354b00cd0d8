{{/* The environment of a container. */}}

{{/* Settings that other values decide, as a YAML map. Argument: dict "root" $ "role" NAME; a job has no role. */}}
{{- define "weir.derived" -}}
{{- $values := .root.Values -}}
{{- $kafka := $values.kafka -}}
{{- $settings := dict
  "WEIR_HOME" "/var/lib/weir"
  "WEIR_ARTIFACTS_URL" (ternary $values.artifacts.url "/var/lib/weir-artifacts" (empty $values.artifacts.existingClaim))
  "WEIR_STOP_SECONDS" $values.stopSeconds
  "WEIR_KAFKA_BOOTSTRAP" $kafka.bootstrap
  "WEIR_KAFKA_SECURITY_PROTOCOL" $kafka.securityProtocol
  "WEIR_TOPIC_PREFIX" $kafka.topicPrefix
  "WEIR_CONSUMER_GROUP" $kafka.consumerGroup
  "WEIR_PARTITIONS" $kafka.partitions
  "WEIR_REPLICATION" $kafka.replication
  "WEIR_KAFKA_SASL_MECHANISM" $kafka.sasl.mechanism
  "WEIR_KAFKA_USERNAME" $kafka.sasl.username
  "WEIR_METRICS_HOST" "0.0.0.0"
  "WEIR_METRICS_PORT" $values.metrics.port
  "WEIR_DEVICE" "cpu"
-}}
{{- if $kafka.sasl.existingSecret -}}
{{- $file := ternary "WEIR_KAFKA_TOKEN_FILE" "WEIR_KAFKA_PASSWORD_FILE" (eq $kafka.sasl.mechanism "OAUTHBEARER") -}}
{{- $_ := set $settings $file (printf "/etc/weir/kafka-login/%s" $kafka.sasl.key) -}}
{{- end -}}
{{- if $kafka.tls.existingSecret -}}
{{- range $variable, $key := dict "CA" $kafka.tls.caKey "CERTIFICATE" $kafka.tls.certificateKey "KEY" $kafka.tls.keyKey -}}
{{- if $key -}}
{{- $_ := set $settings (printf "WEIR_KAFKA_%s_FILE" $variable) (printf "/etc/weir/kafka-tls/%s" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq (default "" .role) "api" -}}
{{- $tls := ternary "/etc/weir/api-tls/" "" (and $values.api.expose (not (empty $values.api.tls.existingSecret))) -}}
{{- $settings = merge $settings (dict
  "WEIR_API_HOST" (ternary "0.0.0.0" "127.0.0.1" $values.api.expose)
  "WEIR_API_PORT" $values.api.port
  "WEIR_API_PLAINTEXT" (ternary "on" "" (and $values.api.expose $values.api.plaintext))
  "WEIR_API_TLS_CERTIFICATE" (ternary (printf "%stls.crt" $tls) "" (not (empty $tls)))
  "WEIR_API_TLS_KEY" (ternary (printf "%stls.key" $tls) "" (not (empty $tls)))
) -}}
{{- end -}}
{{- if .role -}}
{{- if gt (int (get $values .role).gpu.count) 0 -}}
{{- $_ := set $settings "WEIR_DEVICE" "cuda" -}}
{{- end -}}
{{- end -}}
{{ toYaml $settings }}
{{- end -}}

{{/* Argument: dict "root" $ "role" NAME. A role's own value goes before the shared one, also where it is empty. Empty
values are left out: an empty variable counts as not set. YAML reads on and off as booleans; every switch of Weir accepts
on and off. */}}
{{- define "weir.environment" -}}
{{- $values := .root.Values -}}
{{- $own := ternary (get $values (default "" .role)) dict (not (empty .role)) -}}
{{- $settings := mergeOverwrite (deepCopy $values.config) (deepCopy (default dict $own.config)) (include "weir.derived" . | fromYaml) -}}
{{- range $name := keys $settings | sortAlpha }}
{{- $value := get $settings $name }}
{{- if kindIs "bool" $value }}
{{- $value = ternary "on" "off" $value }}
{{- end }}
{{- if not (and (kindIs "string" $value) (empty $value)) }}
- name: {{ $name }}
  value: {{ ternary (printf "%v" (int64 $value)) (toString $value) (and (kindIs "float64" $value) (eq (floor $value) (float64 $value))) | quote }}
{{- end }}
{{- end }}
- name: WEIR_DATABASE_URL
  valueFrom:
    secretKeyRef: {name: {{ $values.database.existingSecret }}, key: {{ $values.database.key }}}
{{- with $values.salt.existingSecret }}
- name: WEIR_SALT
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: {{ $values.salt.key }}}
{{- end }}
{{- with $values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
