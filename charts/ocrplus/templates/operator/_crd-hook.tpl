{{/* Metadata of the hook that upgrades the CRD, but for its name: (list root weight). */}}
{{- define "ocrplus.crdHook" -}}
labels:
  {{- include "ocrplus.labels" (list (index . 0) "crd-upgrade") | nindent 2 }}
annotations:
  helm.sh/hook: pre-upgrade
  helm.sh/hook-weight: {{ quote (index . 1) }}
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
  helm.sh/hook-output-log-policy: hook-failed
{{- end -}}
