{{/* Where the operator counts the work of a pool. */}}
{{- define "ocrplus.pool.source" -}}
redis:
  secretRef: {name: {{ include "ocrplus.redis.secret" . }}, key: {{ include "ocrplus.redis.secretKey" . }}}
  {{- with .Values.settings.keyPrefix }}
  keyPrefix: {{ quote . }}
  {{- end }}
leaseSeconds: {{ .Values.settings.leaseSeconds }}
{{- end -}}
