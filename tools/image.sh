#!/bin/sh
# What the build stage of every image does, so that the Dockerfiles need not each say it.
#   image.sh dependencies IMAGE   the pins of constraints/IMAGE.txt, without a resolver, into /opt/ocrplus
#   image.sh application          OcrPlus itself into /opt/application, and the bill of materials
#   image.sh pack                 the model pack into /opt/models
# Two folders are two layers: a change of code ships some hundred kilobytes, not the engine again.
set -eu
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
VENV=/opt/ocrplus APPLICATION=/opt/application
# PaddleX asks for the OpenCV that links to a desktop's libraries; this one, laid over it, does not.
OPENCV=opencv-contrib-python-headless==4.10.0.84

dependencies() {
  python3 -m venv "$VENV"
  pip=$VENV/bin/pip
  # The pins are all that the image needs, so nothing is resolved: what is not pinned is not there.
  grep -v '^paddlepaddle-gpu' "$1.txt" >pins.txt
  $pip install --no-deps -r pins.txt
  if grep -q '^paddlex==' "$1.txt"; then $pip install --no-deps --force-reinstall "$OPENCV"; fi
  # With its dependencies: the CUDA libraries of its own index.
  if [ -n "${PADDLE_INDEX:-}" ]; then
    $pip install -c "$1.txt" --index-url "$PADDLE_INDEX" paddlepaddle-gpu
  fi
  echo "$APPLICATION" >"$($VENV/bin/python -c 'import site; print(site.getsitepackages()[0])')/application.pth"
  if [ "$1" = models ]; then return; fi # it fetches wheels
  grep -q '^setuptools==' pins.txt || $pip uninstall -q -y setuptools
  $pip uninstall -q -y pip
}

application() {
  mkdir -p "$APPLICATION"
  python3 -m venv /opt/tools
  /opt/tools/bin/pip install --no-deps -r images.txt
  /opt/tools/bin/pip install --no-deps --target "$APPLICATION" .
  rm -rf "$APPLICATION/bin"
  /opt/tools/bin/pip --python "$VENV/bin/python" check
  # What is imported late must be there too: kombu does not ask for what its transport needs.
  if grep -q '^celery==' pins.txt; then "$VENV/bin/python" -c 'import kombu.transport.redis'; fi
  bill=$APPLICATION/sbom.cdx.json
  /opt/tools/bin/cyclonedx-py environment --spec-version 1.6 --output-reproducible --output-file "$bill" "$VENV/bin/python"
  # The base image is the last stage's too: its packages are those that are installed here.
  python3 image_sbom.py "$bill"
  /opt/tools/bin/python -c 'import sys; from cyclonedx.schema import SchemaVersion; from cyclonedx.validation.json import JsonStrictValidator
sys.exit(str(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()) or "") or 0)' <"$bill"
}

pack() {
  "$VENV/bin/python" -c "from pathlib import Path; from ocrplus_ocr.models import assemble; assemble(Path('/opt/models'))"
  rm -f /opt/models.lock
}

"$@"
