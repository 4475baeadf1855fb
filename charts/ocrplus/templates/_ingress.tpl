{{/* What WebSockets, long answers and large uploads need of a controller. */}}
{{- define "ocrplus.ingress.annotations" -}}
{{- if eq .Values.ingress.controller "contour" -}}
projectcontour.io/websocket-routes: /ws
projectcontour.io/response-timeout: infinity
{{- else if eq .Values.ingress.controller "nginx" -}}
{{- /* base64 makes a third more; one more, so that the gateway's own 413 answers what is too large */}}
nginx.ingress.kubernetes.io/proxy-body-size: {{ div (mul .Values.settings.maxPdfBytes 4) 3145728 | add 16 }}m
nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"
nginx.ingress.kubernetes.io/proxy-send-timeout: "3600"
nginx.ingress.kubernetes.io/proxy-request-buffering: "off"
{{- end -}}
{{- end -}}
