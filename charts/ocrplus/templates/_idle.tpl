{{/* Values that do nothing beside others, and why: `path: reason` a line, where a path may be a group.
     What is in here and is set to something else than its default is named in NOTES; a test holds
     every value to either changing an object, being refused, or standing here. */}}
{{- define "ocrplus.idle" -}}
{{- $v := .Values -}}
{{- $scalers := list "mode" "replicas" "maxPending" "targetDrainSeconds" "headroom" "minUsefulSeconds" -}}
{{- $scalers = concat $scalers (list "windowSeconds" "maxDrainPercent" "drainTimeoutSeconds" "scaleToZeroAfterSeconds") -}}
{{- $scalers = concat $scalers (list "scaleToZeroAdaptive" "coldStartSeconds" "provisioningTimeoutSeconds" "schedules") -}}
{{- range $name, $worker := dict "ocrWorker" $v.ocrWorker "captionWorker" $v.captionWorker }}
{{- if or $v.operator.enabled $v.keda.enabled }}
{{ $name }}.replicas: {{ ternary "the operator" "KEDA" $v.operator.enabled }} sets them
{{- else }}
{{ $name }}.autoscaling: neither operator.enabled nor keda.enabled
{{- end }}
{{- if $v.keda.enabled }}
{{- range $scalers }}
{{ $name }}.autoscaling.{{ . }}: KEDA scales, the operator does not
{{- end }}
{{- end }}
{{- if and $v.operator.enabled (ne $worker.autoscaling.mode "Manual") }}
{{ $name }}.autoscaling.replicas: {{ $name }}.autoscaling.mode is {{ $worker.autoscaling.mode }}
{{- end }}
{{- end }}
{{- if and $v.operator.enabled (gt (int $v.ocrWorker.autoscaling.minReplicas) 0) }}
ocrWorker.autoscaling.scaleToZeroAfterSeconds: &floor ocrWorker.autoscaling.minReplicas is above 0
ocrWorker.autoscaling.scaleToZeroAdaptive: *floor
{{- end }}
{{- if not $v.operator.enabled }}
operator: operator.enabled is false
{{- end }}
{{- if not $v.keda.enabled }}
keda: keda.enabled is false
{{- end }}
{{- if $v.gateway.autoscaling.enabled }}
gateway.replicas: gateway.autoscaling sets them
{{- else }}
gateway.autoscaling: gateway.autoscaling.enabled is false
{{- end }}
{{- if eq $v.gateway.service.type "ClusterIP" }}
gateway.service.nodePort: &inside gateway.service.type is ClusterIP
gateway.service.externalTrafficPolicy: *inside
{{- end }}
{{- if ne $v.gateway.service.type "LoadBalancer" }}
gateway.service.loadBalancerClass: &balanced gateway.service.type is {{ $v.gateway.service.type }}
gateway.service.loadBalancerSourceRanges: *balanced
{{- end }}
{{- range $name, $component := dict "gateway" $v.gateway "ocrWorker" $v.ocrWorker "captionWorker" $v.captionWorker "operator" $v.operator "redis" $v.redis }}
{{- if $component.image.digest }}
{{ $name }}.image.tag: {{ $name }}.image.digest wins
{{- end }}
{{- if not (dig "podDisruptionBudget" "enabled" true $component) }}
{{ $name }}.podDisruptionBudget.maxUnavailable: {{ $name }}.podDisruptionBudget.enabled is false
{{- end }}
{{- end }}
{{- if not $v.ocrWorker.gpu.enabled }}
ocrWorker.gpu: ocrWorker.gpu.enabled is false
{{- end }}
{{- if not $v.ocrWorker.models.volume }}
ocrWorker.models.path: ocrWorker.models.volume is empty
{{- end }}
{{- if not (include "ocrplus.captions.enabled" .) }}
captionWorker: &silent captions are off
captions: *silent
{{- else if not $v.captions.existingSecret }}
captions.existingSecretKey: captions.existingSecret is empty
{{- end }}
{{- if not $v.redis.enabled }}
redis: redis.enabled is false
keda.namespace: redis.enabled is false
{{- else }}
externalRedis: &own redis.enabled is true
networkPolicy.redisPorts: *own
{{- if not $v.redis.persistence.enabled }}
redis.persistence: redis.persistence.enabled is false
{{- end }}
{{- end }}
{{- if $v.externalRedis.url }}
externalRedis.existingSecretKey: externalRedis.url is given
{{- end }}
{{- if not $v.externalRedis.caSecret }}
externalRedis.caSecretKey: externalRedis.caSecret is empty
{{- end }}
{{- if ne $v.blobs.type "s3" }}
blobs.s3: blobs.type is {{ $v.blobs.type }}
{{- else }}
{{- if not $v.blobs.s3.caSecret }}
blobs.s3.caSecretKey: blobs.s3.caSecret is empty
{{- end }}
{{- end }}
{{- if ne $v.blobs.type "pvc" }}
blobs.pvc: blobs.type is {{ $v.blobs.type }}
{{- else if $v.blobs.pvc.existingClaim }}
blobs.pvc.size: &claimed blobs.pvc.existingClaim is given
blobs.pvc.storageClass: *claimed
{{- end }}
{{- if ne $v.auth.mode "token" }}
auth.existingSecret: auth.mode is {{ $v.auth.mode }}
{{- end }}
{{- if ne $v.auth.mode "jwt" }}
auth.jwt: &tokens auth.mode is {{ $v.auth.mode }}
test.tokenSecret: *tokens
{{- end }}
{{- if not $v.tracing.endpoint }}
tracing: tracing.endpoint is empty
{{- end }}
{{- if not $v.priorityClasses.create }}
priorityClasses: priorityClasses.create is false
{{- end }}
{{- range $name, $group := dict "ingress" $v.ingress "gatewayApi" $v.gatewayApi "monitoring" $v.monitoring "networkPolicy" $v.networkPolicy }}
{{- if not $group.enabled }}
{{ $name }}: {{ $name }}.enabled is false
{{- end }}
{{- end }}
{{- range $name, $group := dict "alerts" $v.monitoring.alerts "dashboards" $v.monitoring.dashboards }}
{{- if not $group.enabled }}
monitoring.{{ $name }}: monitoring.{{ $name }}.enabled is false
{{- end }}
{{- end }}
{{- if not (or (eq $v.blobs.type "s3") (include "ocrplus.captions.enabled" .) (and (eq $v.auth.mode "jwt") $v.auth.jwt.jwksUrl)) }}
networkPolicy.egressPorts: &within neither a bucket, nor a model, nor an identity provider is asked
networkPolicy.egressTo: *within
{{- end }}
{{- end -}}

{{/* Collects leaves that are set and do nothing: (dict value default path why found top). The switch
     of the group at the top is what says so, not one of them. */}}
{{- define "ocrplus.idle.leaves" -}}
{{- $at := . -}}
{{- $more := list -}}
{{- if and (kindIs "map" .value) (kindIs "map" .default) -}}
{{- range $key, $_ := .value -}}
{{- if not (hasKey $at.default $key) -}}{{- $more = append $more $key -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (kindIs "map" .default) .default (not $more) -}}
{{- range $key, $default := .default -}}
{{- if not (and (eq $at.path $at.top) (has $key (list "enabled" "create"))) -}}
{{- $value := index (default (dict) $at.value) $key -}}
{{- $path := printf "%s.%s" $at.path $key -}}
{{- include "ocrplus.idle.leaves" (dict "value" $value "default" $default "path" $path "why" $at.why "found" $at.found "top" $at.top) -}}
{{- end -}}
{{- end -}}
{{- else if ne (toJson .value) (toJson .default) -}}
{{- $_ := set .found .path .why -}}
{{- end -}}
{{- end -}}

{{/* Lines of NOTES. */}}
{{- define "ocrplus.idle.notes" -}}
{{- $root := . -}}
{{- $found := dict -}}
{{- $defaults := .Files.Get "files/defaults.json" | fromJson -}}
{{- $idle := include "ocrplus.idle" . | fromYaml -}}
{{- with $idle.Error -}}
{{- fail (printf "ocrplus.idle is no YAML: %s" .) -}}
{{- end -}}
{{- range $path, $why := $idle -}}
{{- $value := $root.Values -}}
{{- $default := $defaults -}}
{{- range splitList "." $path -}}
{{- $value = index $value . -}}
{{- $default = index $default . -}}
{{- end -}}
{{- include "ocrplus.idle.leaves" (dict "value" $value "default" $default "path" $path "why" $why "found" $found "top" $path) -}}
{{- end -}}
{{- range $path, $why := $found }}
- {{ $path }} does nothing: {{ $why }}.
{{- end -}}
{{- end -}}
