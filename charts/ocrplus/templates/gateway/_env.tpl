{{- define "ocrplus.gateway.env" -}}
- {name: OCRPLUS_PORT, value: "8080"}
- {name: OCRPLUS_METRICS_PORT, value: "9101"}
- {name: OCRPLUS_MAX_PDF_BYTES, value: {{ include "ocrplus.value" .Values.settings.maxPdfBytes }}}
- {name: OCRPLUS_CHUNK_PAGES, value: {{ include "ocrplus.value" .Values.settings.chunkPages }}}
- {name: OCRPLUS_SHUTDOWN_SECONDS, value: {{ include "ocrplus.value" .Values.gateway.shutdownSeconds }}}
{{- /* "on": a caption worker may be scaled from zero, so that none has been seen yet */}}
- {name: OCRPLUS_CAPTION__ENABLED, value: {{ ternary "on" "off" (eq (include "ocrplus.captions.enabled" .) "true") | quote }}}
- {name: OCRPLUS_AUTH__MODE, value: {{ .Values.auth.mode }}}
{{- if eq .Values.auth.mode "token" }}
- {name: OCRPLUS_AUTH__TOKENS_FILE, value: /etc/ocrplus/auth/tokens}
{{- else if eq .Values.auth.mode "jwt" }}
- {name: OCRPLUS_AUTH__ISSUER, value: {{ quote .Values.auth.jwt.issuer }}}
- {name: OCRPLUS_AUTH__AUDIENCE, value: {{ quote .Values.auth.jwt.audience }}}
{{- if .Values.auth.jwt.existingSecret }}
- name: OCRPLUS_AUTH__JWT_SECRET
  valueFrom: {secretKeyRef: {name: {{ .Values.auth.jwt.existingSecret }}, key: secret}}
{{- else }}
- {name: OCRPLUS_AUTH__JWKS_URL, value: {{ quote .Values.auth.jwt.jwksUrl }}}
{{- end }}
{{- end }}
{{- with .Values.auth.origins }}
- {name: OCRPLUS_AUTH__ORIGINS, value: {{ join "," . | quote }}}
{{- end }}
{{- end -}}
