{{/* Pod security and environment: what every component's pods have in common. */}}

{{/* The pod's part: (dict root component values priority). */}}
{{- define "ocrplus.pod" -}}
serviceAccountName: {{ include "ocrplus.fullname" .root }}-{{ .component }}
automountServiceAccountToken: {{ has .component (list "operator" "crd-upgrade") }}
enableServiceLinks: false {{- /* a Service of a release named ocrplus would inject OCRPLUS_… variables */}}
terminationGracePeriodSeconds: {{ .values.terminationGracePeriodSeconds }}
securityContext:
  {{- include "ocrplus.podSecurity" (list .root (default 10001 .values.runAsUser)) | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- $class := .values.priorityClassName }}
{{- if and .root.Values.priorityClasses.create .priority (not $class) }}
{{- $class = include "ocrplus.clusterName" (list .root .priority) }}
{{- end }}
{{- with $class }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "ocrplus.affinity" . | fromYaml }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if hasKey .values "topologySpreadConstraints" }}
topologySpreadConstraints:
  {{- include "ocrplus.spread" . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The labels of a constraint that names none are those of the component. */}}
{{- define "ocrplus.spread" -}}
{{- $selector := dict "matchLabels" (include "ocrplus.selector" (list .root .component) | fromYaml) -}}
{{- $even := list -}}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" -}}
{{- $even = append $even (dict "maxSkew" 1 "topologyKey" . "whenUnsatisfiable" "ScheduleAnyway") -}}
{{- end -}}
{{- $all := list -}}
{{- range default $even .values.topologySpreadConstraints -}}
{{- $all = append $all (merge (dict) . (dict "labelSelector" $selector)) -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* The rules that were given, and one more where pods share a volume that one node mounts. */}}
{{- define "ocrplus.affinity" -}}
{{- $affinity := deepCopy (default (dict) .values.affinity) -}}
{{- $blobs := .root.Values.blobs -}}
{{- $sharing := list "gateway" "ocr-worker" "caption-worker" -}}
{{- if and (eq $blobs.type "pvc") (eq $blobs.pvc.accessMode "ReadWriteOnce") (has .component $sharing) -}}
{{- $peers := index (include "ocrplus.peers" (concat (list .root) $sharing) | fromYamlArray) 0 -}}
{{- $together := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" $peers.podSelector -}}
{{- $given := default (dict) $affinity.podAffinity -}}
{{- $required := append (default (list) $given.requiredDuringSchedulingIgnoredDuringExecution) $together -}}
{{- $rule := dict "requiredDuringSchedulingIgnoredDuringExecution" $required -}}
{{- $affinity = merge (dict "podAffinity" (merge $rule $given)) $affinity -}}
{{- end -}}
{{- toYaml $affinity -}}
{{- end -}}

{{/* Pod security standard "restricted": (list root user). */}}
{{- define "ocrplus.podSecurity" -}}
runAsNonRoot: true
{{- if (index . 0).Values.podSecurity.fixedUser }}
runAsUser: {{ index . 1 }}
runAsGroup: {{ index . 1 }}
fsGroup: {{ index . 1 }}
{{- end }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "ocrplus.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* A value as a variable: numbers would turn into 1.048576e+08. */}}
{{- define "ocrplus.value" -}}
{{- if kindIs "string" . }}{{ quote . }}{{ else }}{{ toJson . | quote }}{{ end -}}
{{- end -}}

{{/* Variables of one component: a map, in order. */}}
{{- define "ocrplus.config" -}}
{{- range $name, $value := . }}
- {name: {{ $name }}, value: {{ include "ocrplus.value" $value }}}
{{- end }}
{{- end -}}

{{- define "ocrplus.podName" -}}
- name: OCRPLUS_POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end -}}

{{/* What gateway and workers share. */}}
{{- define "ocrplus.env" -}}
{{- $secret := include "ocrplus.redis.secret" . -}}
- {name: OCRPLUS_HOST, value: {{ quote .Values.settings.listenAddress }}}
- {name: OCRPLUS_LOG_LEVEL, value: {{ .Values.settings.logLevel }}}
- name: OCRPLUS_REDIS_URL
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ include "ocrplus.redis.secretKey" . }}}}
{{- if and (not .Values.redis.enabled) .Values.externalRedis.brokerSecretKey }}
- name: OCRPLUS_BROKER_URL
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ .Values.externalRedis.brokerSecretKey }}}}
{{- end }}
{{- with .Values.settings.keyPrefix }}
- {name: OCRPLUS_KEY_PREFIX, value: {{ quote . }}}
{{- end }}
- {name: OCRPLUS_RESULT_TTL_SECONDS, value: {{ include "ocrplus.value" .Values.settings.resultTtlSeconds }}}
- {name: OCRPLUS_JOB_DEADLINE_SECONDS, value: {{ include "ocrplus.value" .Values.settings.jobDeadlineSeconds }}}
- {name: OCRPLUS_LEASE_SECONDS, value: {{ include "ocrplus.value" .Values.settings.leaseSeconds }}}
{{ include "ocrplus.blobs.env" . }}
{{- include "ocrplus.tracing.env" . -}}
{{- end -}}

{{/* The standard variables of OpenTelemetry. */}}
{{- define "ocrplus.tracing.env" -}}
{{- with .Values.tracing }}
{{- if .endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ quote .endpoint }}}
- {name: OTEL_TRACES_SAMPLER, value: parentbased_traceidratio}
- {name: OTEL_TRACES_SAMPLER_ARG, value: {{ quote .sampleRatio }}}
{{- with .resourceAttributes }}
{{- $pairs := list }}
{{- range $name, $value := . }}
{{- $pairs = append $pairs (printf "%s=%s" $name (urlquery $value | replace "+" "%20")) }}
{{- end }}
- {name: OTEL_RESOURCE_ATTRIBUTES, value: {{ join "," $pairs | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "ocrplus.blobs.env" -}}
{{- $blobs := .Values.blobs -}}
{{- if eq $blobs.type "redis" -}}
- {name: OCRPLUS_BLOB_URL, value: "redis://"}
{{- else if eq $blobs.type "pvc" -}}
- {name: OCRPLUS_BLOB_URL, value: "file:///blobs"}
{{- else -}}
- {name: OCRPLUS_BLOB_URL, value: {{ printf "s3://%s/%s" $blobs.s3.bucket $blobs.s3.prefix | trimSuffix "/" | quote }}}
- {name: AWS_REGION, value: {{ quote $blobs.s3.region }}}
{{- with $blobs.s3.endpoint }}
- {name: AWS_ENDPOINT_URL, value: {{ quote . }}}
{{- end }}
- {name: OCRPLUS_S3__ADDRESSING, value: {{ $blobs.s3.addressing }}}
- {name: OCRPLUS_S3__ALLOW_HTTP, value: {{ quote $blobs.s3.allowHttp }}}
{{- if $blobs.s3.caSecret }}
- {name: OCRPLUS_S3__CA_FILE, value: /etc/ocrplus/s3-ca/ca.crt}
{{- end }}
{{- with $blobs.s3.existingSecret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ . }}, key: access-key-id}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ . }}, key: secret-access-key}}
{{- end }}
{{- end -}}
{{- end -}}

{{/* Volumes of gateway and workers, and their mounts; the operator only needs the authority. */}}
{{- define "ocrplus.volumes" -}}
{{- if eq .Values.blobs.type "pvc" }}
- name: blobs
  persistentVolumeClaim: {claimName: {{ include "ocrplus.blobs.claim" . }}}
{{- end }}
{{- if and (eq .Values.blobs.type "s3") .Values.blobs.s3.caSecret }}
- name: s3-ca
  secret:
    secretName: {{ .Values.blobs.s3.caSecret }}
    items: [{key: {{ .Values.blobs.s3.caSecretKey }}, path: ca.crt}]
{{- end }}
{{- include "ocrplus.redisCa.volume" . }}
{{- end -}}

{{- define "ocrplus.mounts" -}}
{{- if eq .Values.blobs.type "pvc" }}
- {name: blobs, mountPath: /blobs}
{{- end }}
{{- if and (eq .Values.blobs.type "s3") .Values.blobs.s3.caSecret }}
- {name: s3-ca, mountPath: /etc/ocrplus/s3-ca, readOnly: true}
{{- end }}
{{- include "ocrplus.redisCa.mount" . }}
{{- end -}}

{{- define "ocrplus.redisCa.volume" -}}
{{- if and (not .Values.redis.enabled) .Values.externalRedis.caSecret }}
- name: redis-ca
  secret:
    secretName: {{ .Values.externalRedis.caSecret }}
    items: [{key: {{ .Values.externalRedis.caSecretKey }}, path: ca.crt}]
{{- end }}
{{- end -}}

{{- define "ocrplus.redisCa.mount" -}}
{{- if and (not .Values.redis.enabled) .Values.externalRedis.caSecret }}
- {name: redis-ca, mountPath: /etc/ocrplus/redis-ca, readOnly: true}
{{- end }}
{{- end -}}

{{/* The command of the inner loop: (list root module); else the image's own. */}}
{{- define "ocrplus.command" -}}
{{- if (index . 0).Values.development.reload -}}
command: [python, -m, ocrplus_contract.reload, {{ index . 1 }}]
{{- end -}}
{{- end -}}
