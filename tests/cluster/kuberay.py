"""What the KubeRay operator, 1.5, reads of its own kinds: names, types and choices of the fields that are its own.

Pods are Kubernetes' own and are held against its schema; here they are any mapping.
"""

from typing import Any

TEXT, NUMBER, FLAG, ANY = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {"type": "object"}
PARAMETERS = {"type": "object", "additionalProperties": TEXT}


def closed(required: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    """Return the schema of a mapping with these fields and no others."""
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": fields}


CREDENTIAL = closed(value=TEXT, valueFrom=ANY)
HEAD = closed(
    ("template", "rayStartParams"),
    template=ANY, rayStartParams=PARAMETERS, headService=ANY, enableIngress=FLAG, serviceType=TEXT,
)  # fmt: skip
WORKERS = closed(
    ("groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"),
    groupName=TEXT, replicas=NUMBER, minReplicas=NUMBER, maxReplicas=NUMBER, numOfHosts=NUMBER,
    idleTimeoutSeconds=NUMBER, suspend=FLAG, rayStartParams=PARAMETERS, template=ANY, scaleStrategy=ANY,
)  # fmt: skip
CLUSTER = closed(
    ("headGroupSpec",),
    headGroupSpec=HEAD, workerGroupSpecs={"type": "array", "items": WORKERS}, rayVersion=TEXT, suspend=FLAG,
    managedBy=TEXT, autoscalerOptions=ANY, headServiceAnnotations=PARAMETERS, enableInTreeAutoscaling=FLAG,
    upgradeStrategy=closed(type={"enum": ["Recreate", "None"]}),
    authOptions=closed(mode={"enum": ["disabled", "token"]}, secretName=TEXT, enableK8sTokenAuth=FLAG),
    gcsFaultToleranceOptions=closed(
        redisUsername=CREDENTIAL, redisPassword=CREDENTIAL, redisAddress=TEXT, externalStorageNamespace=TEXT
    ),
)  # fmt: skip
RAY_CLUSTER = closed(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "ray.io/v1"}, kind={"const": "RayCluster"}, metadata=ANY, spec=CLUSTER,
)  # fmt: skip
RAY_SERVICE = closed(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "ray.io/v1"}, kind={"const": "RayService"}, metadata=ANY,
    spec=closed(
        ("serveConfigV2", "rayClusterConfig"),
        serveConfigV2=TEXT, rayClusterConfig=CLUSTER, serveService=ANY, excludeHeadPodFromServeSvc=FLAG,
        rayClusterDeletionDelaySeconds=NUMBER,
        upgradeStrategy=closed(type={"enum": ["NewCluster", "NewClusterWithIncrementalUpgrade", "None"]}),
    ),
)  # fmt: skip
