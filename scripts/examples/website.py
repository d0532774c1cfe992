"""A kind of your own and its controller: a Website is a page, served by as many nginx as it asks for."""

from minik import sdk

WEBSITES = "websites.example.com"
CRDS = sdk.manifests("""
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: websites.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: websites, kind: Website, shortNames: [web], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.ready}}
    additionalPrinterColumns:
    - {name: Ready, type: integer, jsonPath: .status.ready}
    - {name: Wanted, type: integer, jsonPath: .spec.replicas}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [html]
            properties:
              html: {type: string, minLength: 1, description: The page.}
              replicas: {type: integer, minimum: 0, maximum: 10, default: 2}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
""")


async def reconcile(ctx: sdk.Context, key: sdk.Key) -> sdk.Result:
    site = ctx.cache(WEBSITES).get(key)
    if site is None or sdk.meta.is_deleting(site):
        return sdk.DONE  # what it owns goes by itself
    labels, wanted = {"website": key.name}, site["spec"]["replicas"]
    page = {"name": "page", "mountPath": "/usr/share/nginx/html"}
    nginx = {"name": "nginx", "image": "nginx", "ports": [{"containerPort": 80}], "volumeMounts": [page]}
    pod = {"containers": [nginx], "volumes": [{"name": "page", "configMap": {"name": key.name}}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    deployment = {"replicas": wanted, "selector": {"matchLabels": labels}, "template": template}
    await sdk.ensure(ctx, site, "configmaps", {"data": {"index.html": site["spec"]["html"]}})
    await sdk.ensure(ctx, site, "services", {"spec": {"selector": labels, "ports": [{"port": 80}]}})
    running = await sdk.ensure(ctx, site, "deployments.apps", {"spec": deployment})

    ready = running.get("status", {}).get("readyReplicas", 0)
    text = f"{ready} of {wanted} are ready"
    if ready >= wanted and not sdk.is_true(site, "Ready"):
        ctx.recorder.event(site, "Normal", "Up", text)
    conditions = sdk.condition(site, ctx, "Ready", ready >= wanted, "Counted", text)
    await sdk.set_status(ctx, WEBSITES, site, {"ready": ready, "conditions": conditions})
    return sdk.DONE


CONTROLLER = sdk.Controller(
    "website",
    primary=WEBSITES,
    triggers=[sdk.owned_by("configmaps"), sdk.owned_by("services"), sdk.owned_by("deployments.apps")],
    reconcile=reconcile,
    rbac=[sdk.can("create,patch", "configmaps,services,deployments.apps"), sdk.can("patch", f"{WEBSITES}/status")],
)

if __name__ == "__main__":
    sdk.run(CONTROLLER, crds=CRDS)
