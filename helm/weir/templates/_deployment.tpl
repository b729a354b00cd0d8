{{/* The Deployment and the PodDisruptionBudget of a role. Argument: dict "root" $ "role" NAME. */}}

{{/* /healthz answers while the process lives; the role's own watchdog ends one that is stuck. On loopback the kubelet
     cannot reach it, so a process in the container asks. Argument: dict "role" … "root" … "path" PATH. */}}
{{- define "weir.probe" -}}
{{- $api := .root.Values.api -}}
{{- if ne .role "api" -}}
httpGet: {path: {{ .path }}, port: metrics}
{{- else if $api.expose -}}
httpGet: {path: {{ .path }}, port: http, scheme: {{ ternary "HTTP" "HTTPS" (empty $api.tls.existingSecret) }}}
{{- else -}}
exec:
  command:
    - python
    - -c
    - import urllib.request; urllib.request.urlopen("http://127.0.0.1:{{ $api.port }}{{ .path }}", timeout=4)
{{- end -}}
{{- end -}}

{{- define "weir.deployment" -}}
{{- $role := .role -}}
{{- $root := .root -}}
{{- $own := get $root.Values $role -}}
{{- $labels := dict "root" $root "component" $role -}}
{{- $scaled := and (eq $role "worker") (ne $root.Values.worker.autoscaling.type "none") -}}
{{- $drain := ternary 5 0 (and (eq $role "api") $root.Values.api.expose) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "weir.fullname" $root }}-{{ $role }}
  labels: {{- include "weir.labels" $labels | nindent 4 }}
spec:
  {{- if not $scaled }}
  replicas: {{ $own.replicas }}
  {{- end }}
  # Scoring the buffer again with other settings may take long before a worker is ready.
  progressDeadlineSeconds: 1800
  strategy:
    type: RollingUpdate
    rollingUpdate: {{- toYaml $own.rollingUpdate | nindent 6 }}
  selector:
    matchLabels: {{- include "weir.selector" $labels | nindent 6 }}
  template:
    metadata:
      labels: {{- include "weir.labels" $labels | nindent 8 }}
      {{- with $own.podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "weir.serviceAccount" $root }}
      {{- include "weir.podCommon" $root | nindent 6 }}
      terminationGracePeriodSeconds: {{ add $root.Values.stopSeconds $drain 15 }}
      {{- with $own.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $own.gpu.runtimeClassName }}
      runtimeClassName: {{ . }}
      {{- end }}
      {{- with $own.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $own.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $own.affinity }}
      affinity: {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
        - maxSkew: 1
          topologyKey: {{ $key }}
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "weir.selector" $labels | nindent 14 }}
        {{- end }}
      containers:
        - name: {{ $role }}
          args: [{{ $role }}]
          {{- include "weir.container" (dict "root" $root "role" $role "gpus" $own.gpu.count) | nindent 10 }}
          {{- if or (ne $role "api") $root.Values.api.expose }}
          ports:
            - name: {{ ternary "http" "metrics" (eq $role "api") }}
              containerPort: {{ ternary $root.Values.api.port $root.Values.metrics.port (eq $role "api") }}
          {{- end }}
          {{- $probe := dict "root" $root "role" $role }}
          startupProbe:
            {{- include "weir.probe" (merge (dict "path" "/healthz") $probe) | nindent 12 }}
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: {{ div (add $own.startSeconds 4) 5 }}
          livenessProbe:
            {{- include "weir.probe" (merge (dict "path" "/healthz") $probe) | nindent 12 }}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            {{- include "weir.probe" (merge (dict "path" "/readyz") $probe) | nindent 12 }}
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 2
          {{- if $drain }}
          lifecycle:
            preStop:
              # Requests that are still routed here are answered until all nodes know that the pod ends.
              exec: {command: [sleep, "{{ $drain }}"]}
          {{- end }}
          {{- $resources := deepCopy $own.resources }}
          {{- if gt (int $own.gpu.count) 0 }}
          {{- $_ := set $resources "limits" (merge (dict $own.gpu.resource (int $own.gpu.count)) (default dict $resources.limits)) }}
          {{- end }}
          resources: {{- toYaml $resources | nindent 12 }}
      volumes:
        {{- include "weir.volumes" (dict "root" $root "role" $role) | nindent 8 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "weir.fullname" $root }}-{{ $role }}
  labels: {{- include "weir.labels" $labels | nindent 4 }}
spec:
  maxUnavailable: {{ $own.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "weir.selector" $labels | nindent 6 }}
{{- end -}}
