{{/* What KEDA needs of Secrets to reach Redis; empty: nothing. */}}
{{- define "ocrplus.keda.secrets" -}}
{{- if and .Values.keda.enabled .Values.keda.redisUsernameKey }}
- {parameter: username, name: {{ include "ocrplus.redis.secret" . }}, key: {{ .Values.keda.redisUsernameKey }}}
{{- end }}
{{- if and .Values.keda.enabled .Values.keda.redisPasswordKey }}
- {parameter: password, name: {{ include "ocrplus.redis.secret" . }}, key: {{ .Values.keda.redisPasswordKey }}}
{{- end }}
{{- if and .Values.keda.enabled .Values.keda.redisTls .Values.externalRedis.caSecret }}
- {parameter: ca, name: {{ .Values.externalRedis.caSecret }}, key: {{ .Values.externalRedis.caSecretKey }}}
{{- end }}
{{- end -}}

{{/* A ScaledObject of one pool: (dict root component pool scaling). Lag and pending entries are added up:
     lag alone is nothing as soon as every chunk is in hand, and busy workers would go. */}}
{{- define "ocrplus.scaledobject" -}}
{{- $keda := .root.Values.keda -}}
{{- $full := include "ocrplus.fullname" .root -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  {{- include "ocrplus.metadata" (list .root .component) | nindent 2 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ $full }}-{{ .component }}}
  pollingInterval: {{ $keda.pollingIntervalSeconds }}
  cooldownPeriod: {{ $keda.cooldownSeconds }}
  minReplicaCount: {{ .scaling.minReplicas }}
  maxReplicaCount: {{ .scaling.maxReplicas }}
  advanced:
    scalingModifiers:
      formula: lag + pending
      target: {{ quote $keda.chunksPerReplica }}
      activationTarget: "0"
      metricType: AverageValue
    horizontalPodAutoscalerConfig:
      behavior:
        scaleDown: {stabilizationWindowSeconds: {{ $keda.cooldownSeconds }}}
  triggers:
    {{- range $name, $count := dict "lag" "lagCount" "pending" "pendingEntriesCount" }}
    - type: redis-streams
      name: {{ $name }}
      metadata:
        address: {{ default (printf "%s-redis.%s.svc:6379" $full $.root.Release.Namespace) $keda.redisAddress }}
        stream: {{ $.root.Values.settings.keyPrefix }}work:{{ $.pool }}
        consumerGroup: workers
        {{ $count }}: "1"
        enableTLS: {{ quote $keda.redisTls }}
      {{- if include "ocrplus.keda.secrets" $.root }}
      authenticationRef: {name: {{ $full }}-redis}
      {{- end }}
    {{- end }}
{{- end -}}
