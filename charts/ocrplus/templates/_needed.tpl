{{/* What a release needs and does not make: NOTES look for it. */}}

{{/* Secrets by name, with the keys that are read. */}}
{{- define "ocrplus.needed.secrets" -}}
{{- $v := .Values -}}
{{- $needed := list -}}
{{- if eq $v.auth.mode "token" -}}
{{- $needed = append $needed (list $v.auth.existingSecret "tokens") -}}
{{- else if eq $v.auth.mode "jwt" -}}
{{- $needed = append $needed (list $v.auth.jwt.existingSecret "secret") -}}
{{- $needed = append $needed (list $v.test.tokenSecret "token") -}}
{{- end -}}
{{- $needed = append $needed (list $v.captions.existingSecret $v.captions.existingSecretKey) -}}
{{- if $v.redis.enabled -}}
{{- $needed = append $needed (list $v.redis.auth.existingSecret "password" "url") -}}
{{- else -}}
{{- $needed = append $needed (list $v.externalRedis.existingSecret $v.externalRedis.existingSecretKey $v.externalRedis.brokerSecretKey) -}}
{{- $needed = append $needed (list $v.externalRedis.caSecret $v.externalRedis.caSecretKey) -}}
{{- if $v.keda.enabled -}}
{{- $needed = append $needed (list $v.externalRedis.existingSecret $v.keda.redisPasswordKey $v.keda.redisUsernameKey) -}}
{{- end -}}
{{- end -}}
{{- if eq $v.blobs.type "s3" -}}
{{- $needed = append $needed (list $v.blobs.s3.existingSecret "access-key-id" "secret-access-key") -}}
{{- $needed = append $needed (list $v.blobs.s3.caSecret $v.blobs.s3.caSecretKey) -}}
{{- end -}}
{{- $found := dict -}}
{{- range $needed -}}
{{- if first . -}}
{{- $keys := concat (default (list) (index $found (first .))) (compact (rest .)) -}}
{{- $_ := set $found (first .) (uniq $keys) -}}
{{- end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{- define "ocrplus.needed.claims" -}}
{{- $claims := list -}}
{{- if eq .Values.blobs.type "pvc" -}}
{{- $claims = append $claims .Values.blobs.pvc.existingClaim -}}
{{- end -}}
{{- $claims = append $claims (dig "persistentVolumeClaim" "claimName" "" .Values.ocrWorker.models.volume) -}}
{{- toYaml (compact $claims) -}}
{{- end -}}
