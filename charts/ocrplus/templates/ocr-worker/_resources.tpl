{{/* A device is asked for as request and limit alike. */}}
{{- define "ocrplus.ocr.resources" -}}
{{- $resources := deepCopy .Values.ocrWorker.resources -}}
{{- if .Values.ocrWorker.gpu.enabled -}}
{{- $device := dict .Values.ocrWorker.gpu.resource (int .Values.ocrWorker.gpu.count) -}}
{{- $limits := merge (dict) $device (default (dict) $resources.limits) -}}
{{- $requests := merge (dict) $device (default (dict) $resources.requests) -}}
{{- $resources = merge (dict "limits" $limits "requests" $requests) $resources -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}
