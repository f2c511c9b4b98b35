"""Manifests and images: what a schema, Ray and our own settings can say of them without a cluster to run them."""

import copy
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import ray
import yaml
from ray.serve.schema import ServeDeploySchema

from cluster.environment import ROOT
from serve.config import AppArgs
from tests.cluster.kuberay import RAY_CLUSTER, RAY_SERVICE

FOLDER, IMAGES = ROOT / "cluster/kubernetes", ROOT / "cluster/container"
KUBERNETES = "1.33"
DOCUMENTS: list[dict[str, Any]] = [
    document for path in sorted(FOLDER.glob("*.yaml")) for document in yaml.safe_load_all(path.read_text())
]
[SERVICE] = [document["spec"] for document in DOCUMENTS if document["kind"] == "RayService"]
CLUSTER = SERVICE["rayClusterConfig"]
[TRAINING] = [document["spec"] for document in DOCUMENTS if document["kind"] == "RayCluster"]
GROUPS = [group for one in (CLUSTER, TRAINING) for group in (one["headGroupSpec"], *one["workerGroupSpecs"])]
PODS = [group["template"]["spec"] for group in GROUPS] + [
    document["spec"]["template"]["spec"] for document in DOCUMENTS if document["kind"] == "StatefulSet"
]
KUBERAYS = {"RayService": RAY_SERVICE, "RayCluster": RAY_CLUSTER}
CONFIG = yaml.safe_load(SERVICE["serveConfigV2"])


def validate(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, KUBERNETES, strict=True)


@pytest.mark.parametrize("document", [document for document in DOCUMENTS if document["kind"] not in KUBERAYS])
def test_kubernetes_own_kinds_are_valid(document: dict[str, Any]) -> None:
    validate(document)


@pytest.mark.parametrize("kind", KUBERAYS)
def test_kuberay_reads_every_field_of_its_own_kinds(kind: str) -> None:
    [document] = [document for document in DOCUMENTS if document["kind"] == kind]
    jsonschema.validate(document, KUBERAYS[kind])
    misspelt = copy.deepcopy(document)
    cluster = misspelt["spec"].get("rayClusterConfig", misspelt["spec"])
    cluster["authOption"] = cluster.pop("authOptions")
    with pytest.raises(jsonschema.ValidationError, match="authOption"):
        jsonschema.validate(misspelt, KUBERAYS[kind])


@pytest.mark.parametrize("spec", PODS, ids=lambda spec: spec["containers"][0]["name"])
def test_pods_are_valid_and_run_as_nobody_special(spec: dict[str, Any]) -> None:
    validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec})
    assert spec["securityContext"]["runAsNonRoot"]
    assert not spec["automountServiceAccountToken"]
    for container in spec["containers"]:
        own = container["securityContext"]
        assert (own["allowPrivilegeEscalation"], own["capabilities"]) == (False, {"drop": ["ALL"]})


def test_a_misspelt_field_would_be_refused() -> None:
    spec = PODS[0] | {"volumez": []}
    with pytest.raises(kubernetes_validate.ValidationError):
        validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec})


def test_ray_accepts_the_serve_config_and_we_its_settings() -> None:
    ServeDeploySchema.model_validate(CONFIG)
    [application] = CONFIG["applications"]
    args = AppArgs.checked(application["args"])
    mounts = [mount["mountPath"] for mount in PODS[0]["containers"][0]["volumeMounts"]]
    assert all(any(path.startswith(f"{mount}/") for mount in mounts) for path in (args.data, args.keys))


def test_versions_are_those_that_are_installed() -> None:
    assert CLUSTER["rayVersion"] == TRAINING["rayVersion"] == ray.__version__


def test_what_one_manifest_names_another_one_has() -> None:
    named = {(document["kind"], document["metadata"]["name"]) for document in DOCUMENTS}
    claims = [
        volume["persistentVolumeClaim"]["claimName"]
        for pod in PODS for volume in pod.get("volumes", []) if "persistentVolumeClaim" in volume
    ]  # fmt: skip
    assert {("PersistentVolumeClaim", claim) for claim in claims} <= named
    host, _, port = CLUSTER["gcsFaultToleranceOptions"]["redisAddress"].partition(":")
    [service] = [
        document for document in DOCUMENTS if (document["kind"], document["metadata"]["name"]) == ("Service", host)
    ]
    assert service["spec"]["ports"][0]["port"] == int(port)


def test_only_labelled_clients_reach_the_serve_port_and_nobody_else_any_other() -> None:
    [policy] = [document["spec"] for document in DOCUMENTS if document["metadata"]["name"] == "liveshelf-nodes"]
    nodes, operator, clients = policy["ingress"]
    assert "namespaceSelector" not in nodes["from"][0]
    assert all("podSelector" in source for rule in policy["ingress"] for source in rule["from"])
    assert [port["port"] for port in clients["ports"]] == [CONFIG["http_options"]["port"]]
    assert {port["port"] for port in operator["ports"]} <= {8000, 8265, 52365}


def test_both_images_run_as_nobody_special_and_hold_what_they_copy() -> None:
    lines = (IMAGES / "Dockerfile").read_text().splitlines()
    for target in ("cpu", "gpu"):
        start = lines.index(f"FROM base AS {target}")
        assert lines[start + 1] == "USER 1000"
    ignored = (IMAGES / "Dockerfile.dockerignore").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[2:-1]]
    assert copied
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored


def test_compose_publishes_on_loopback_and_needs_a_password() -> None:
    text = (IMAGES / "compose.yaml").read_text()
    services = yaml.safe_load(text)["services"]
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", []))
    assert text.count("${POSTGRES_PASSWORD:?}") == 2
    assert services["server"]["build"]["target"] == "cpu"
