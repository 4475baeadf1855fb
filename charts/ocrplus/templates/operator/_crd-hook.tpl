{{/* Metadata of the hook that upgrades the CRD, but for its name: (list root weight). */}}
{{- define "ocrplus.crdHook" -}}
labels:
  {{- include "ocrplus.labels" (list (index . 0) "crd-upgrade") | nindent 2 }}
{{- $hook := dict "helm.sh/hook" "pre-upgrade" "helm.sh/hook-weight" (toString (index . 1)) }}
{{- $_ := set $hook "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded" }}
{{- $_ := set $hook "helm.sh/hook-output-log-policy" "hook-failed" }}
{{ include "ocrplus.annotations" (list (index . 0) $hook) }}
{{- end -}}
