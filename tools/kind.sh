#!/usr/bin/env bash
# A kind cluster with all that tests/e2e wants, step by step, as .github/workflows/e2e.yaml does it:
#   kind.sh cluster    one node, marked to be thrown away
#   kind.sh played     the node takes no pods and there is no class of storage: for e2e_control.py
#   kind.sh images     the built images of TAG onto the node
#   kind.sh bucket     the image of an S3 server onto the node
#   kind.sh services   Services get addresses that this machine reaches
#   kind.sh contour    Contour and Envoy; INGRESS_GATEWAY=NAMESPACE/NAME or none/none kind.sh gateway
#   kind.sh keda       KEDA
# Needs docker, kubectl, Go and jq. What is fetched is pinned: modules by Go's checksum database.
set -euo pipefail
KIND=v0.33.0 CONTOUR=v1.33.8 KEDA=v2.21.0 VERSITYGW=v1.8.0
NODE=kindest/node:v1.36.4@sha256:099e049362a1526b2db71494e1947aae99bd16290d7c895f2b7ea312e3cbfaed
CLUSTER=${CLUSTER:-ocrplus-e2e} SERVICES=10.96.0.0/16

module() { go mod download -json "$1" | jq -r .Dir; }

kind() { go run "sigs.k8s.io/kind@$KIND" "$@"; }

cluster() {
  kind create cluster --name "$CLUSTER" --image "$NODE" --wait 180s
  kubectl annotate namespace default ocrplus.io/throw-away=true
}

played() {
  kubectl cordon --selector kubernetes.io/os=linux
  kubectl delete storageclass --all
}

images() {
  kind load docker-image --name "$CLUSTER" "ocrplus/gateway:$TAG" "ocrplus/operator:$TAG" \
    "ocrplus/caption-worker:$TAG" "ocrplus/ocr-worker:$TAG-cpu"
}

bucket() {
  local folder image=ocrplus-tests/versitygw:1
  folder=$(mktemp -d)
  CGO_ENABLED=0 GOBIN=$folder go install "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW"
  docker build --tag "$image" --file tests/e2e/stand-ins/versitygw.Dockerfile "$folder"
  kind load docker-image --name "$CLUSTER" "$image"
  rm -r "$folder"
}

services() {
  local node
  node=$(docker inspect -f '{{.NetworkSettings.Networks.kind.IPAddress}}' "$CLUSTER-control-plane")
  sudo ip route replace "$SERVICES" via "$node"
  curl --fail --silent --insecure --max-time 20 https://10.96.0.1/livez # the API server's Service
}

contour() {
  local examples
  examples=$(module "github.com/projectcontour/contour@$CONTOUR")/examples
  kubectl apply --server-side -f "$examples/gateway/00-crds.yaml" # before the Gateway that is one
  kubectl wait --for=condition=Established --timeout=60s crd --all
  kubectl apply --server-side -f "$examples/render/contour-gateway.yaml"
  kubectl -n projectcontour rollout status deployment/contour --timeout=300s
  kubectl -n projectcontour rollout status daemonset/envoy --timeout=300s
}

gateway() {
  local reference="gateway: {gatewayRef: {namespace: ${INGRESS_GATEWAY%%/*}, name: ${INGRESS_GATEWAY#*/}}}"
  if [ "$INGRESS_GATEWAY" = none/none ]; then reference="disablePermitInsecure: false"; fi
  kubectl -n projectcontour patch configmap contour --type merge \
    --patch "$(jq -n --arg text "$reference" '{data: {"contour.yaml": $text}}')"
  kubectl -n projectcontour rollout restart deployment/contour
  kubectl -n projectcontour rollout status deployment/contour --timeout=100s
}

keda() {
  local folder
  folder=$(mktemp -d)
  cp -r --no-preserve=mode "$(module "github.com/kedacore/keda/v2@$KEDA")/config" "$folder"
  # The sources name the images of their main branch.
  find "$folder" -name kustomization.yaml -exec sed -i "s/newTag: main/newTag: ${KEDA#v}/" {} +
  kubectl apply --server-side -k "$folder/config/default"
  rm -r "$folder"
  kubectl -n keda wait --for=condition=Available deployment --all --timeout=300s
}

"$@"
