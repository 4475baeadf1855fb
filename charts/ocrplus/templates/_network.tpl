{{/* Parts of NetworkPolicies. */}}

{{/* Peers of the release's own components: (list root component…). */}}
{{- define "ocrplus.peers" -}}
- podSelector:
    matchLabels:
      app.kubernetes.io/name: {{ include "ocrplus.name" (first .) }}
      app.kubernetes.io/instance: {{ quote (first .).Release.Name }}
    matchExpressions:
      - {key: app.kubernetes.io/component, operator: In, values: {{ toJson (rest .) }}}
{{- end -}}

{{- define "ocrplus.policy.head" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "ocrplus.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "ocrplus.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end -}}

{{- define "ocrplus.policy.dns" -}}
- ports:
    {{- range .Values.networkPolicy.dnsPorts }}
    - {port: {{ . }}, protocol: UDP}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end -}}

{{- define "ocrplus.policy.redis" -}}
{{- if .Values.redis.enabled -}}
- to:
    {{- include "ocrplus.peers" (list . "redis") | nindent 4 }}
  ports:
    - {port: 6379, protocol: TCP}
{{- else -}}
- ports:
    {{- $hosts := regexReplaceAll "^[^:]*://([^/?]*).*$" .Values.externalRedis.url "${1}" }}
    {{- $ports := .Values.networkPolicy.redisPorts }}
    {{- range regexFindAll ":[0-9]+(,|$)" $hosts -1 }}
    {{- $ports = append $ports (trimPrefix ":" . | trimSuffix "," | int) }}
    {{- end }}
    {{- range $ports | toJson | fromJsonArray | uniq }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end -}}
{{- end -}}

{{- define "ocrplus.policy.metrics" -}}
- ports:
    - {port: metrics, protocol: TCP}
  {{- with .Values.networkPolicy.metricsFrom }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- else }}
  from:
    - namespaceSelector: {}
  {{- end }}
{{- end -}}

{{/* What lies beyond the cluster: (list root url…); the port of each URL is let through. */}}
{{- define "ocrplus.policy.beyond" -}}
{{- $network := (first .).Values.networkPolicy -}}
{{- $ports := $network.egressPorts -}}
{{- range rest . -}}
{{- $named := regexFind ":[0-9]+$" (get (urlParse .) "host") | trimPrefix ":" -}}
{{- $ports = append $ports (default (ternary 80 443 (hasPrefix "http://" .)) $named | int) -}}
{{- end -}}
- ports:
    {{- range uniq $ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- with $network.egressTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* What gateway and workers may reach: (list root url…). */}}
{{- define "ocrplus.policy.egress" -}}
{{- $root := first . -}}
{{- $urls := rest . -}}
{{ include "ocrplus.policy.dns" $root }}
{{ include "ocrplus.policy.redis" $root }}
{{- if eq $root.Values.blobs.type "s3" }}
{{- $urls = append $urls (default "https://amazonaws.com" $root.Values.blobs.s3.endpoint) }}
{{- end }}
{{- with compact $urls }}
{{ include "ocrplus.policy.beyond" (concat (list $root) .) }}
{{- end }}
{{- with $root.Values.tracing.endpoint }}
{{- $named := regexFind ":[0-9]+$" (get (urlParse .) "host") | trimPrefix ":" }}
- ports:
    - {port: {{ default (ternary 80 443 (hasPrefix "http://" .)) $named | int }}, protocol: TCP}
{{- end }}
{{- with $root.Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}
