# An S3 server over a folder, for tests only: the program of the Go module
# github.com/versity/versitygw, built without C, lies in the folder that is built.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE}
COPY versitygw /usr/local/bin/versitygw
USER 999:999
ENTRYPOINT ["versitygw"]
