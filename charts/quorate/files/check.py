"""Run by `helm test`: the operator is ready, and the API server serves ClusterServices."""

import json
import os
import ssl
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
URL = "https://kubernetes.default.svc/apis/quorate.io/v1/clusterservices?limit=1"

with urllib.request.urlopen(os.environ["READY_URL"], timeout=10) as answer:
    print(answer.read().decode().strip())
token = (ACCOUNT / "token").read_text("ascii")
request = urllib.request.Request(URL, headers={"Authorization": f"Bearer {token}"})
trust = ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
with urllib.request.urlopen(request, timeout=10, context=trust) as answer:
    print(json.load(answer)["kind"], "is served")
