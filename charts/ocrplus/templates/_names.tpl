{{/* Names and labels. A component's object is `{fullname}-{component}`. */}}

{{- define "ocrplus.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The usual rule; 40 characters leave room for `-caption-worker` and a pod's own suffix. */}}
{{- define "ocrplus.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "ocrplus.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Selectors never change: an upgrade cannot alter them. Takes (list root component). */}}
{{- define "ocrplus.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "ocrplus.name" $root }}
app.kubernetes.io/instance: {{ quote $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of an object: (list root component [more]). What stands first wins. */}}
{{- define "ocrplus.labels" -}}
{{- $root := index . 0 -}}
{{- $chart := printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" -}}
{{- $told := dict "app.kubernetes.io/version" $root.Chart.AppVersion "app.kubernetes.io/part-of" "ocrplus" -}}
{{- $told = merge $told (dict "app.kubernetes.io/managed-by" $root.Release.Service "helm.sh/chart" $chart) -}}
{{- $more := dict -}}
{{- if gt (len .) 2 -}}{{- $more = index . 2 -}}{{- end -}}
{{- toYaml (merge (include "ocrplus.selector" . | fromYaml) $told $more $root.Values.commonLabels) -}}
{{- end -}}

{{/* Labels of pods, without versions: a new chart alone restarts nothing. (list root component values) */}}
{{- define "ocrplus.podLabels" -}}
{{- $part := dict "app.kubernetes.io/part-of" "ocrplus" -}}
{{- $common := (index . 0).Values.commonLabels -}}
{{- toYaml (merge (include "ocrplus.selector" . | fromYaml) $part (index . 2).podLabels $common) -}}
{{- end -}}

{{/* Name of an object outside namespaces: (list root what). A dot, which neither a namespace nor a
     component has, so that no two releases of a cluster meet. */}}
{{- define "ocrplus.clusterName" -}}
{{- $root := index . 0 -}}
{{- printf "%s.%s-%s" $root.Release.Namespace (include "ocrplus.fullname" $root) (index . 1) -}}
{{- end -}}

{{/* Annotations of an object, none where there are none: (list root own). */}}
{{- define "ocrplus.annotations" -}}
{{- with merge (dict) (index . 1) (index . 0).Values.commonAnnotations -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Metadata of an object: (list root component [more labels [annotations]]). */}}
{{- define "ocrplus.metadata" -}}
name: {{ include "ocrplus.fullname" (index . 0) }}-{{ index . 1 }}
namespace: {{ quote (index . 0).Release.Namespace }}
labels:
  {{- include "ocrplus.labels" . | nindent 2 }}
{{- with include "ocrplus.annotations" (list (index . 0) (ternary (last .) (dict) (gt (len .) 3))) }}
{{ . }}
{{- end -}}
{{- end -}}

{{- define "ocrplus.redis.secret" -}}
{{- if .Values.redis.enabled -}}
{{- default (printf "%s-redis" (include "ocrplus.fullname" .)) .Values.redis.auth.existingSecret -}}
{{- else -}}
{{- default (printf "%s-redis" (include "ocrplus.fullname" .)) .Values.externalRedis.existingSecret -}}
{{- end -}}
{{- end -}}

{{- define "ocrplus.redis.secretKey" -}}
{{- if and (not .Values.redis.enabled) .Values.externalRedis.existingSecret -}}
{{- .Values.externalRedis.existingSecretKey -}}
{{- else -}}
url
{{- end -}}
{{- end -}}

{{- define "ocrplus.auth.secret" -}}
{{- default (printf "%s-auth" (include "ocrplus.fullname" .)) .Values.auth.existingSecret -}}
{{- end -}}

{{- define "ocrplus.blobs.claim" -}}
{{- default (printf "%s-blobs" (include "ocrplus.fullname" .)) .Values.blobs.pvc.existingClaim -}}
{{- end -}}

{{- define "ocrplus.captions.enabled" -}}
{{- if or .Values.captions.baseUrl .Values.captions.existingSecret -}}true{{- end -}}
{{- end -}}

{{/* Whether somebody else than this chart sets the replicas of the workers. */}}
{{- define "ocrplus.scaled" -}}
{{- if or .Values.operator.enabled .Values.keda.enabled -}}true{{- end -}}
{{- end -}}

{{- define "ocrplus.ocr.profile" -}}
{{- default (ternary "gpu-onnx" "cpu" .Values.ocrWorker.gpu.enabled) .Values.ocrWorker.profile -}}
{{- end -}}

{{/* An image: (dict root image suffix). A parent chart's global.imageRegistry wins. */}}
{{- define "ocrplus.image" -}}
{{- $tag := default (printf "%s%s" (default .root.Chart.AppVersion .root.Values.image.tag) (default "" .suffix)) .image.tag -}}
{{- $registry := dig "imageRegistry" "" (default (dict) .root.Values.global) | default .root.Values.image.registry -}}
{{- $name := ternary .image.repository (printf "%s/%s" $registry .image.repository) (empty $registry) -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name $tag -}}
{{- end -}}
{{- end -}}
