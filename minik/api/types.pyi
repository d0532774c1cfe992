"""The API's types for mypy alone: read-only TypedDicts, written by `scripts/generate-tables --types` from the tables.

Nothing of this exists at run time: import it under `if TYPE_CHECKING`. Types whose short name occurs in several groups carry
their group and version in front, except those of core, meta and apps. `Required`: always there once validated.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Required, TypeAlias

from typing_extensions import ReadOnly, TypedDict

Quantity: TypeAlias = str
Time: TypeAlias = str
MicroTime: TypeAlias = str
Bytes: TypeAlias = str
IntOrString: TypeAlias = int | str

class AWSElasticBlockStoreVolumeSource(TypedDict, total=False):
    volumeID: Required[ReadOnly[str]]
    fsType: ReadOnly[str]
    partition: ReadOnly[int]
    readOnly: ReadOnly[bool]

class Affinity(TypedDict, total=False):
    nodeAffinity: ReadOnly[NodeAffinity]
    podAffinity: ReadOnly[PodAffinity]
    podAntiAffinity: ReadOnly[PodAntiAffinity]

class AppArmorProfile(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    localhostProfile: ReadOnly[str]

class AttachedVolume(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    devicePath: Required[ReadOnly[str]]

class AzureDiskVolumeSource(TypedDict, total=False):
    diskName: Required[ReadOnly[str]]
    diskURI: Required[ReadOnly[str]]
    cachingMode: ReadOnly[str]
    fsType: ReadOnly[str]
    readOnly: ReadOnly[bool]
    kind: ReadOnly[str]

class AzureFilePersistentVolumeSource(TypedDict, total=False):
    secretName: Required[ReadOnly[str]]
    shareName: Required[ReadOnly[str]]
    readOnly: ReadOnly[bool]
    secretNamespace: ReadOnly[str]

class AzureFileVolumeSource(TypedDict, total=False):
    secretName: Required[ReadOnly[str]]
    shareName: Required[ReadOnly[str]]
    readOnly: ReadOnly[bool]

class Binding(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    target: Required[ReadOnly[ObjectReference]]

class CSIPersistentVolumeSource(TypedDict, total=False):
    driver: Required[ReadOnly[str]]
    volumeHandle: Required[ReadOnly[str]]
    readOnly: ReadOnly[bool]
    fsType: ReadOnly[str]
    volumeAttributes: ReadOnly[Mapping[str, str]]
    controllerPublishSecretRef: ReadOnly[SecretReference]
    nodeStageSecretRef: ReadOnly[SecretReference]
    nodePublishSecretRef: ReadOnly[SecretReference]
    controllerExpandSecretRef: ReadOnly[SecretReference]
    nodeExpandSecretRef: ReadOnly[SecretReference]

class CSIVolumeSource(TypedDict, total=False):
    driver: Required[ReadOnly[str]]
    readOnly: ReadOnly[bool]
    fsType: ReadOnly[str]
    volumeAttributes: ReadOnly[Mapping[str, str]]
    nodePublishSecretRef: ReadOnly[LocalObjectReference]

class Capabilities(TypedDict, total=False):
    add: ReadOnly[Sequence[str]]
    drop: ReadOnly[Sequence[str]]

class CephFSPersistentVolumeSource(TypedDict, total=False):
    monitors: Required[ReadOnly[Sequence[str]]]
    path: ReadOnly[str]
    user: ReadOnly[str]
    secretFile: ReadOnly[str]
    secretRef: ReadOnly[SecretReference]
    readOnly: ReadOnly[bool]

class CephFSVolumeSource(TypedDict, total=False):
    monitors: Required[ReadOnly[Sequence[str]]]
    path: ReadOnly[str]
    user: ReadOnly[str]
    secretFile: ReadOnly[str]
    secretRef: ReadOnly[LocalObjectReference]
    readOnly: ReadOnly[bool]

class CinderPersistentVolumeSource(TypedDict, total=False):
    volumeID: Required[ReadOnly[str]]
    fsType: ReadOnly[str]
    readOnly: ReadOnly[bool]
    secretRef: ReadOnly[SecretReference]

class CinderVolumeSource(TypedDict, total=False):
    volumeID: Required[ReadOnly[str]]
    fsType: ReadOnly[str]
    readOnly: ReadOnly[bool]
    secretRef: ReadOnly[LocalObjectReference]

class ClientIPConfig(TypedDict, total=False):
    timeoutSeconds: ReadOnly[int]

class ClusterTrustBundleProjection(TypedDict, total=False):
    name: ReadOnly[str]
    signerName: ReadOnly[str]
    labelSelector: ReadOnly[LabelSelector]
    path: Required[ReadOnly[str]]
    optional: ReadOnly[bool]

class ComponentCondition(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    status: Required[ReadOnly[str]]
    message: ReadOnly[str]
    error: ReadOnly[str]

class ComponentStatus(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    conditions: ReadOnly[Sequence[ComponentCondition]]

class ComponentStatusList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[ComponentStatus]]]

class ConfigMap(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    data: ReadOnly[Mapping[str, str]]
    binaryData: ReadOnly[Mapping[str, Bytes]]
    immutable: ReadOnly[bool]

class ConfigMapEnvSource(TypedDict, total=False):
    name: ReadOnly[str]
    optional: ReadOnly[bool]

class ConfigMapKeySelector(TypedDict, total=False):
    name: ReadOnly[str]
    key: Required[ReadOnly[str]]
    optional: ReadOnly[bool]

class ConfigMapList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[ConfigMap]]]

class ConfigMapNodeConfigSource(TypedDict, total=False):
    namespace: Required[ReadOnly[str]]
    name: Required[ReadOnly[str]]
    uid: ReadOnly[str]
    resourceVersion: ReadOnly[str]
    kubeletConfigKey: Required[ReadOnly[str]]

class ConfigMapProjection(TypedDict, total=False):
    name: ReadOnly[str]
    items: ReadOnly[Sequence[KeyToPath]]
    optional: ReadOnly[bool]

class ConfigMapVolumeSource(TypedDict, total=False):
    name: ReadOnly[str]
    items: ReadOnly[Sequence[KeyToPath]]
    defaultMode: ReadOnly[int]
    optional: ReadOnly[bool]

class Container(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    image: ReadOnly[str]
    command: ReadOnly[Sequence[str]]
    args: ReadOnly[Sequence[str]]
    workingDir: ReadOnly[str]
    ports: ReadOnly[Sequence[ContainerPort]]
    env: ReadOnly[Sequence[EnvVar]]
    resources: ReadOnly[ResourceRequirements]
    volumeMounts: ReadOnly[Sequence[VolumeMount]]
    livenessProbe: ReadOnly[Probe]
    readinessProbe: ReadOnly[Probe]
    lifecycle: ReadOnly[Lifecycle]
    terminationMessagePath: ReadOnly[str]
    imagePullPolicy: ReadOnly[str]
    securityContext: ReadOnly[SecurityContext]
    stdin: ReadOnly[bool]
    stdinOnce: ReadOnly[bool]
    tty: ReadOnly[bool]
    envFrom: ReadOnly[Sequence[EnvFromSource]]
    terminationMessagePolicy: ReadOnly[str]
    volumeDevices: ReadOnly[Sequence[VolumeDevice]]
    startupProbe: ReadOnly[Probe]
    resizePolicy: ReadOnly[Sequence[ContainerResizePolicy]]
    restartPolicy: ReadOnly[str]
    restartPolicyRules: ReadOnly[Sequence[ContainerRestartRule]]

class ContainerExtendedResourceRequest(TypedDict, total=False):
    containerName: Required[ReadOnly[str]]
    resourceName: Required[ReadOnly[str]]
    requestName: Required[ReadOnly[str]]

class ContainerImage(TypedDict, total=False):
    names: ReadOnly[Sequence[str]]
    sizeBytes: ReadOnly[int]

class ContainerPort(TypedDict, total=False):
    name: ReadOnly[str]
    hostPort: ReadOnly[int]
    containerPort: Required[ReadOnly[int]]
    protocol: ReadOnly[str]
    hostIP: ReadOnly[str]

class ContainerResizePolicy(TypedDict, total=False):
    resourceName: Required[ReadOnly[str]]
    restartPolicy: Required[ReadOnly[str]]

class ContainerRestartRule(TypedDict, total=False):
    action: Required[ReadOnly[str]]
    exitCodes: ReadOnly[ContainerRestartRuleOnExitCodes]

class ContainerRestartRuleOnExitCodes(TypedDict, total=False):
    operator: Required[ReadOnly[str]]
    values: ReadOnly[Sequence[int]]

class ContainerState(TypedDict, total=False):
    waiting: ReadOnly[ContainerStateWaiting]
    running: ReadOnly[ContainerStateRunning]
    terminated: ReadOnly[ContainerStateTerminated]

class ContainerStateRunning(TypedDict, total=False):
    startedAt: ReadOnly[Time]

class ContainerStateTerminated(TypedDict, total=False):
    exitCode: Required[ReadOnly[int]]
    signal: ReadOnly[int]
    reason: ReadOnly[str]
    message: ReadOnly[str]
    startedAt: ReadOnly[Time]
    finishedAt: ReadOnly[Time]
    containerID: ReadOnly[str]

class ContainerStateWaiting(TypedDict, total=False):
    reason: ReadOnly[str]
    message: ReadOnly[str]

class ContainerStatus(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    state: ReadOnly[ContainerState]
    lastState: ReadOnly[ContainerState]
    ready: Required[ReadOnly[bool]]
    restartCount: Required[ReadOnly[int]]
    image: Required[ReadOnly[str]]
    imageID: Required[ReadOnly[str]]
    containerID: ReadOnly[str]
    started: ReadOnly[bool]
    allocatedResources: ReadOnly[Mapping[str, Quantity]]
    resources: ReadOnly[ResourceRequirements]
    volumeMounts: ReadOnly[Sequence[VolumeMountStatus]]
    user: ReadOnly[ContainerUser]
    allocatedResourcesStatus: ReadOnly[Sequence[ResourceStatus]]
    stopSignal: ReadOnly[str]

class ContainerUser(TypedDict, total=False):
    linux: ReadOnly[LinuxContainerUser]

class DaemonEndpoint(TypedDict, total=False):
    Port: Required[ReadOnly[int]]

class DownwardAPIProjection(TypedDict, total=False):
    items: ReadOnly[Sequence[DownwardAPIVolumeFile]]

class DownwardAPIVolumeFile(TypedDict, total=False):
    path: Required[ReadOnly[str]]
    fieldRef: ReadOnly[ObjectFieldSelector]
    resourceFieldRef: ReadOnly[ResourceFieldSelector]
    mode: ReadOnly[int]

class DownwardAPIVolumeSource(TypedDict, total=False):
    items: ReadOnly[Sequence[DownwardAPIVolumeFile]]
    defaultMode: ReadOnly[int]

class EmptyDirVolumeSource(TypedDict, total=False):
    medium: ReadOnly[str]
    sizeLimit: ReadOnly[Quantity]

class EndpointAddress(TypedDict, total=False):
    ip: Required[ReadOnly[str]]
    targetRef: ReadOnly[ObjectReference]
    hostname: ReadOnly[str]
    nodeName: ReadOnly[str]

class EndpointPort(TypedDict, total=False):
    name: ReadOnly[str]
    port: Required[ReadOnly[int]]
    protocol: ReadOnly[str]
    appProtocol: ReadOnly[str]

class EndpointSubset(TypedDict, total=False):
    addresses: ReadOnly[Sequence[EndpointAddress]]
    notReadyAddresses: ReadOnly[Sequence[EndpointAddress]]
    ports: ReadOnly[Sequence[EndpointPort]]

class Endpoints(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    subsets: ReadOnly[Sequence[EndpointSubset]]

class EndpointsList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[Endpoints]]]

class EnvFromSource(TypedDict, total=False):
    prefix: ReadOnly[str]
    configMapRef: ReadOnly[ConfigMapEnvSource]
    secretRef: ReadOnly[SecretEnvSource]

class EnvVar(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    value: ReadOnly[str]
    valueFrom: ReadOnly[EnvVarSource]

class EnvVarSource(TypedDict, total=False):
    fieldRef: ReadOnly[ObjectFieldSelector]
    resourceFieldRef: ReadOnly[ResourceFieldSelector]
    configMapKeyRef: ReadOnly[ConfigMapKeySelector]
    secretKeyRef: ReadOnly[SecretKeySelector]
    fileKeyRef: ReadOnly[FileKeySelector]

class EphemeralContainer(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    image: ReadOnly[str]
    command: ReadOnly[Sequence[str]]
    args: ReadOnly[Sequence[str]]
    workingDir: ReadOnly[str]
    ports: ReadOnly[Sequence[ContainerPort]]
    env: ReadOnly[Sequence[EnvVar]]
    resources: ReadOnly[ResourceRequirements]
    volumeMounts: ReadOnly[Sequence[VolumeMount]]
    livenessProbe: ReadOnly[Probe]
    readinessProbe: ReadOnly[Probe]
    lifecycle: ReadOnly[Lifecycle]
    terminationMessagePath: ReadOnly[str]
    imagePullPolicy: ReadOnly[str]
    securityContext: ReadOnly[SecurityContext]
    stdin: ReadOnly[bool]
    stdinOnce: ReadOnly[bool]
    tty: ReadOnly[bool]
    envFrom: ReadOnly[Sequence[EnvFromSource]]
    terminationMessagePolicy: ReadOnly[str]
    volumeDevices: ReadOnly[Sequence[VolumeDevice]]
    startupProbe: ReadOnly[Probe]
    resizePolicy: ReadOnly[Sequence[ContainerResizePolicy]]
    restartPolicy: ReadOnly[str]
    restartPolicyRules: ReadOnly[Sequence[ContainerRestartRule]]
    targetContainerName: ReadOnly[str]

class EphemeralVolumeSource(TypedDict, total=False):
    volumeClaimTemplate: ReadOnly[PersistentVolumeClaimTemplate]

class Event(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    involvedObject: Required[ReadOnly[ObjectReference]]
    reason: ReadOnly[str]
    message: ReadOnly[str]
    source: ReadOnly[EventSource]
    firstTimestamp: ReadOnly[Time]
    lastTimestamp: ReadOnly[Time]
    count: ReadOnly[int]
    type: ReadOnly[str]
    eventTime: ReadOnly[MicroTime]
    series: ReadOnly[EventSeries]
    action: ReadOnly[str]
    related: ReadOnly[ObjectReference]
    reportingComponent: ReadOnly[str]
    reportingInstance: ReadOnly[str]

class EventList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[Event]]]

class EventSeries(TypedDict, total=False):
    count: ReadOnly[int]
    lastObservedTime: ReadOnly[MicroTime]

class EventSource(TypedDict, total=False):
    component: ReadOnly[str]
    host: ReadOnly[str]

class ExecAction(TypedDict, total=False):
    command: ReadOnly[Sequence[str]]

class FCVolumeSource(TypedDict, total=False):
    targetWWNs: ReadOnly[Sequence[str]]
    lun: ReadOnly[int]
    fsType: ReadOnly[str]
    readOnly: ReadOnly[bool]
    wwids: ReadOnly[Sequence[str]]

class FileKeySelector(TypedDict, total=False):
    volumeName: Required[ReadOnly[str]]
    path: Required[ReadOnly[str]]
    key: Required[ReadOnly[str]]
    optional: ReadOnly[bool]

class FlexPersistentVolumeSource(TypedDict, total=False):
    driver: Required[ReadOnly[str]]
    fsType: ReadOnly[str]
    secretRef: ReadOnly[SecretReference]
    readOnly: ReadOnly[bool]
    options: ReadOnly[Mapping[str, str]]

class FlexVolumeSource(TypedDict, total=False):
    driver: Required[ReadOnly[str]]
    fsType: ReadOnly[str]
    secretRef: ReadOnly[LocalObjectReference]
    readOnly: ReadOnly[bool]
    options: ReadOnly[Mapping[str, str]]

class FlockerVolumeSource(TypedDict, total=False):
    datasetName: ReadOnly[str]
    datasetUUID: ReadOnly[str]

class GCEPersistentDiskVolumeSource(TypedDict, total=False):
    pdName: Required[ReadOnly[str]]
    fsType: ReadOnly[str]
    partition: ReadOnly[int]
    readOnly: ReadOnly[bool]

class GRPCAction(TypedDict, total=False):
    port: Required[ReadOnly[int]]
    service: ReadOnly[str]

class GitRepoVolumeSource(TypedDict, total=False):
    repository: Required[ReadOnly[str]]
    revision: ReadOnly[str]
    directory: ReadOnly[str]

class GlusterfsPersistentVolumeSource(TypedDict, total=False):
    endpoints: Required[ReadOnly[str]]
    path: Required[ReadOnly[str]]
    readOnly: ReadOnly[bool]
    endpointsNamespace: ReadOnly[str]

class GlusterfsVolumeSource(TypedDict, total=False):
    endpoints: Required[ReadOnly[str]]
    path: Required[ReadOnly[str]]
    readOnly: ReadOnly[bool]

class HTTPGetAction(TypedDict, total=False):
    path: ReadOnly[str]
    port: Required[ReadOnly[IntOrString]]
    host: ReadOnly[str]
    scheme: ReadOnly[str]
    httpHeaders: ReadOnly[Sequence[HTTPHeader]]

class HTTPHeader(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    value: Required[ReadOnly[str]]

class HostAlias(TypedDict, total=False):
    ip: Required[ReadOnly[str]]
    hostnames: ReadOnly[Sequence[str]]

class HostIP(TypedDict, total=False):
    ip: Required[ReadOnly[str]]

class HostPathVolumeSource(TypedDict, total=False):
    path: Required[ReadOnly[str]]
    type: ReadOnly[str]

class ISCSIPersistentVolumeSource(TypedDict, total=False):
    targetPortal: Required[ReadOnly[str]]
    iqn: Required[ReadOnly[str]]
    lun: Required[ReadOnly[int]]
    iscsiInterface: ReadOnly[str]
    fsType: ReadOnly[str]
    readOnly: ReadOnly[bool]
    portals: ReadOnly[Sequence[str]]
    chapAuthDiscovery: ReadOnly[bool]
    secretRef: ReadOnly[SecretReference]
    chapAuthSession: ReadOnly[bool]
    initiatorName: ReadOnly[str]

class ISCSIVolumeSource(TypedDict, total=False):
    targetPortal: Required[ReadOnly[str]]
    iqn: Required[ReadOnly[str]]
    lun: Required[ReadOnly[int]]
    iscsiInterface: ReadOnly[str]
    fsType: ReadOnly[str]
    readOnly: ReadOnly[bool]
    portals: ReadOnly[Sequence[str]]
    chapAuthDiscovery: ReadOnly[bool]
    secretRef: ReadOnly[LocalObjectReference]
    chapAuthSession: ReadOnly[bool]
    initiatorName: ReadOnly[str]

class ImageVolumeSource(TypedDict, total=False):
    reference: ReadOnly[str]
    pullPolicy: ReadOnly[str]

class ImageVolumeStatus(TypedDict, total=False):
    imageRef: Required[ReadOnly[str]]

class KeyToPath(TypedDict, total=False):
    key: Required[ReadOnly[str]]
    path: Required[ReadOnly[str]]
    mode: ReadOnly[int]

class Lifecycle(TypedDict, total=False):
    postStart: ReadOnly[LifecycleHandler]
    preStop: ReadOnly[LifecycleHandler]
    stopSignal: ReadOnly[str]

class LifecycleHandler(TypedDict, total=False):
    exec: ReadOnly[ExecAction]
    httpGet: ReadOnly[HTTPGetAction]
    tcpSocket: ReadOnly[TCPSocketAction]
    sleep: ReadOnly[SleepAction]

class LimitRange(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[LimitRangeSpec]

class LimitRangeItem(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    max: ReadOnly[Mapping[str, Quantity]]
    min: ReadOnly[Mapping[str, Quantity]]
    default: ReadOnly[Mapping[str, Quantity]]
    defaultRequest: ReadOnly[Mapping[str, Quantity]]
    maxLimitRequestRatio: ReadOnly[Mapping[str, Quantity]]

class LimitRangeList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[LimitRange]]]

class LimitRangeSpec(TypedDict, total=False):
    limits: Required[ReadOnly[Sequence[LimitRangeItem]]]

class LinuxContainerUser(TypedDict, total=False):
    uid: Required[ReadOnly[int]]
    gid: Required[ReadOnly[int]]
    supplementalGroups: ReadOnly[Sequence[int]]

class LoadBalancerIngress(TypedDict, total=False):
    ip: ReadOnly[str]
    hostname: ReadOnly[str]
    ipMode: ReadOnly[str]
    ports: ReadOnly[Sequence[PortStatus]]

class LoadBalancerStatus(TypedDict, total=False):
    ingress: ReadOnly[Sequence[LoadBalancerIngress]]

class LocalObjectReference(TypedDict, total=False):
    name: ReadOnly[str]

class LocalVolumeSource(TypedDict, total=False):
    path: Required[ReadOnly[str]]
    fsType: ReadOnly[str]

class ModifyVolumeStatus(TypedDict, total=False):
    targetVolumeAttributesClassName: ReadOnly[str]
    status: Required[ReadOnly[str]]

class NFSVolumeSource(TypedDict, total=False):
    server: Required[ReadOnly[str]]
    path: Required[ReadOnly[str]]
    readOnly: ReadOnly[bool]

class Namespace(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[NamespaceSpec]
    status: ReadOnly[NamespaceStatus]

class NamespaceCondition(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    status: Required[ReadOnly[str]]
    lastTransitionTime: ReadOnly[Time]
    reason: ReadOnly[str]
    message: ReadOnly[str]

class NamespaceList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[Namespace]]]

class NamespaceSpec(TypedDict, total=False):
    finalizers: ReadOnly[Sequence[str]]

class NamespaceStatus(TypedDict, total=False):
    phase: ReadOnly[str]
    conditions: ReadOnly[Sequence[NamespaceCondition]]

class Node(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[NodeSpec]
    status: ReadOnly[NodeStatus]

class NodeAddress(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    address: Required[ReadOnly[str]]

class NodeAffinity(TypedDict, total=False):
    requiredDuringSchedulingIgnoredDuringExecution: ReadOnly[NodeSelector]
    preferredDuringSchedulingIgnoredDuringExecution: ReadOnly[Sequence[PreferredSchedulingTerm]]

class NodeAllocatableResourceClaimStatus(TypedDict, total=False):
    resourceClaimName: Required[ReadOnly[str]]
    containers: ReadOnly[Sequence[str]]
    resources: Required[ReadOnly[Mapping[str, Quantity]]]

class NodeCondition(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    status: Required[ReadOnly[str]]
    lastHeartbeatTime: ReadOnly[Time]
    lastTransitionTime: ReadOnly[Time]
    reason: ReadOnly[str]
    message: ReadOnly[str]

class NodeConfigSource(TypedDict, total=False):
    configMap: ReadOnly[ConfigMapNodeConfigSource]

class NodeConfigStatus(TypedDict, total=False):
    assigned: ReadOnly[NodeConfigSource]
    active: ReadOnly[NodeConfigSource]
    lastKnownGood: ReadOnly[NodeConfigSource]
    error: ReadOnly[str]

class NodeDaemonEndpoints(TypedDict, total=False):
    kubeletEndpoint: ReadOnly[DaemonEndpoint]

class NodeFeatures(TypedDict, total=False):
    supplementalGroupsPolicy: ReadOnly[bool]

class NodeList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[Node]]]

class NodeRuntimeHandler(TypedDict, total=False):
    name: ReadOnly[str]
    features: ReadOnly[NodeRuntimeHandlerFeatures]

class NodeRuntimeHandlerFeatures(TypedDict, total=False):
    recursiveReadOnlyMounts: ReadOnly[bool]
    userNamespaces: ReadOnly[bool]

class NodeSelector(TypedDict, total=False):
    nodeSelectorTerms: Required[ReadOnly[Sequence[NodeSelectorTerm]]]

class NodeSelectorRequirement(TypedDict, total=False):
    key: Required[ReadOnly[str]]
    operator: Required[ReadOnly[str]]
    values: ReadOnly[Sequence[str]]

class NodeSelectorTerm(TypedDict, total=False):
    matchExpressions: ReadOnly[Sequence[NodeSelectorRequirement]]
    matchFields: ReadOnly[Sequence[NodeSelectorRequirement]]

class NodeSpec(TypedDict, total=False):
    podCIDR: ReadOnly[str]
    externalID: ReadOnly[str]
    providerID: ReadOnly[str]
    unschedulable: ReadOnly[bool]
    taints: ReadOnly[Sequence[Taint]]
    configSource: ReadOnly[NodeConfigSource]
    podCIDRs: ReadOnly[Sequence[str]]

class NodeStatus(TypedDict, total=False):
    capacity: ReadOnly[Mapping[str, Quantity]]
    allocatable: ReadOnly[Mapping[str, Quantity]]
    phase: ReadOnly[str]
    conditions: ReadOnly[Sequence[NodeCondition]]
    addresses: ReadOnly[Sequence[NodeAddress]]
    daemonEndpoints: ReadOnly[NodeDaemonEndpoints]
    nodeInfo: ReadOnly[NodeSystemInfo]
    images: ReadOnly[Sequence[ContainerImage]]
    volumesInUse: ReadOnly[Sequence[str]]
    volumesAttached: ReadOnly[Sequence[AttachedVolume]]
    config: ReadOnly[NodeConfigStatus]
    runtimeHandlers: ReadOnly[Sequence[NodeRuntimeHandler]]
    features: ReadOnly[NodeFeatures]
    declaredFeatures: ReadOnly[Sequence[str]]

class NodeSwapStatus(TypedDict, total=False):
    capacity: ReadOnly[int]

class NodeSystemInfo(TypedDict, total=False):
    machineID: Required[ReadOnly[str]]
    systemUUID: Required[ReadOnly[str]]
    bootID: Required[ReadOnly[str]]
    kernelVersion: Required[ReadOnly[str]]
    osImage: Required[ReadOnly[str]]
    containerRuntimeVersion: Required[ReadOnly[str]]
    kubeletVersion: Required[ReadOnly[str]]
    kubeProxyVersion: Required[ReadOnly[str]]
    operatingSystem: Required[ReadOnly[str]]
    architecture: Required[ReadOnly[str]]
    swap: ReadOnly[NodeSwapStatus]

class ObjectFieldSelector(TypedDict, total=False):
    apiVersion: ReadOnly[str]
    fieldPath: Required[ReadOnly[str]]

class ObjectReference(TypedDict, total=False):
    kind: ReadOnly[str]
    namespace: ReadOnly[str]
    name: ReadOnly[str]
    uid: ReadOnly[str]
    apiVersion: ReadOnly[str]
    resourceVersion: ReadOnly[str]
    fieldPath: ReadOnly[str]

class PersistentVolume(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[PersistentVolumeSpec]
    status: ReadOnly[PersistentVolumeStatus]

class PersistentVolumeClaim(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[PersistentVolumeClaimSpec]
    status: ReadOnly[PersistentVolumeClaimStatus]

class PersistentVolumeClaimCondition(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    status: Required[ReadOnly[str]]
    lastProbeTime: ReadOnly[Time]
    lastTransitionTime: ReadOnly[Time]
    reason: ReadOnly[str]
    message: ReadOnly[str]

class PersistentVolumeClaimList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[PersistentVolumeClaim]]]

class PersistentVolumeClaimSpec(TypedDict, total=False):
    accessModes: ReadOnly[Sequence[str]]
    resources: ReadOnly[VolumeResourceRequirements]
    volumeName: ReadOnly[str]
    selector: ReadOnly[LabelSelector]
    storageClassName: ReadOnly[str]
    volumeMode: ReadOnly[str]
    dataSource: ReadOnly[TypedLocalObjectReference]
    dataSourceRef: ReadOnly[TypedObjectReference]
    volumeAttributesClassName: ReadOnly[str]

class PersistentVolumeClaimStatus(TypedDict, total=False):
    phase: ReadOnly[str]
    accessModes: ReadOnly[Sequence[str]]
    capacity: ReadOnly[Mapping[str, Quantity]]
    conditions: ReadOnly[Sequence[PersistentVolumeClaimCondition]]
    allocatedResources: ReadOnly[Mapping[str, Quantity]]
    allocatedResourceStatuses: ReadOnly[Mapping[str, str]]
    currentVolumeAttributesClassName: ReadOnly[str]
    modifyVolumeStatus: ReadOnly[ModifyVolumeStatus]

class PersistentVolumeClaimTemplate(TypedDict, total=False):
    metadata: ReadOnly[ObjectMeta]
    spec: Required[ReadOnly[PersistentVolumeClaimSpec]]

class PersistentVolumeClaimVolumeSource(TypedDict, total=False):
    claimName: Required[ReadOnly[str]]
    readOnly: ReadOnly[bool]

class PersistentVolumeList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[PersistentVolume]]]

class PersistentVolumeSpec(TypedDict, total=False):
    capacity: ReadOnly[Mapping[str, Quantity]]
    gcePersistentDisk: ReadOnly[GCEPersistentDiskVolumeSource]
    awsElasticBlockStore: ReadOnly[AWSElasticBlockStoreVolumeSource]
    hostPath: ReadOnly[HostPathVolumeSource]
    glusterfs: ReadOnly[GlusterfsPersistentVolumeSource]
    nfs: ReadOnly[NFSVolumeSource]
    rbd: ReadOnly[RBDPersistentVolumeSource]
    iscsi: ReadOnly[ISCSIPersistentVolumeSource]
    cinder: ReadOnly[CinderPersistentVolumeSource]
    cephfs: ReadOnly[CephFSPersistentVolumeSource]
    fc: ReadOnly[FCVolumeSource]
    flocker: ReadOnly[FlockerVolumeSource]
    flexVolume: ReadOnly[FlexPersistentVolumeSource]
    azureFile: ReadOnly[AzureFilePersistentVolumeSource]
    vsphereVolume: ReadOnly[VsphereVirtualDiskVolumeSource]
    quobyte: ReadOnly[QuobyteVolumeSource]
    azureDisk: ReadOnly[AzureDiskVolumeSource]
    photonPersistentDisk: ReadOnly[PhotonPersistentDiskVolumeSource]
    portworxVolume: ReadOnly[PortworxVolumeSource]
    scaleIO: ReadOnly[ScaleIOPersistentVolumeSource]
    local: ReadOnly[LocalVolumeSource]
    storageos: ReadOnly[StorageOSPersistentVolumeSource]
    csi: ReadOnly[CSIPersistentVolumeSource]
    accessModes: ReadOnly[Sequence[str]]
    claimRef: ReadOnly[ObjectReference]
    persistentVolumeReclaimPolicy: ReadOnly[str]
    storageClassName: ReadOnly[str]
    mountOptions: ReadOnly[Sequence[str]]
    volumeMode: ReadOnly[str]
    nodeAffinity: ReadOnly[VolumeNodeAffinity]
    volumeAttributesClassName: ReadOnly[str]

class PersistentVolumeStatus(TypedDict, total=False):
    phase: ReadOnly[str]
    message: ReadOnly[str]
    reason: ReadOnly[str]
    lastPhaseTransitionTime: ReadOnly[Time]

class PhotonPersistentDiskVolumeSource(TypedDict, total=False):
    pdID: Required[ReadOnly[str]]
    fsType: ReadOnly[str]

class Pod(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[PodSpec]
    status: ReadOnly[PodStatus]

class PodAffinity(TypedDict, total=False):
    requiredDuringSchedulingIgnoredDuringExecution: ReadOnly[Sequence[PodAffinityTerm]]
    preferredDuringSchedulingIgnoredDuringExecution: ReadOnly[Sequence[WeightedPodAffinityTerm]]

class PodAffinityTerm(TypedDict, total=False):
    labelSelector: ReadOnly[LabelSelector]
    namespaces: ReadOnly[Sequence[str]]
    topologyKey: Required[ReadOnly[str]]
    namespaceSelector: ReadOnly[LabelSelector]
    matchLabelKeys: ReadOnly[Sequence[str]]
    mismatchLabelKeys: ReadOnly[Sequence[str]]

class PodAntiAffinity(TypedDict, total=False):
    requiredDuringSchedulingIgnoredDuringExecution: ReadOnly[Sequence[PodAffinityTerm]]
    preferredDuringSchedulingIgnoredDuringExecution: ReadOnly[Sequence[WeightedPodAffinityTerm]]

class PodCertificateProjection(TypedDict, total=False):
    signerName: Required[ReadOnly[str]]
    keyType: Required[ReadOnly[str]]
    maxExpirationSeconds: ReadOnly[int]
    credentialBundlePath: ReadOnly[str]
    keyPath: ReadOnly[str]
    certificateChainPath: ReadOnly[str]
    userAnnotations: ReadOnly[Mapping[str, str]]

class PodCondition(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    status: Required[ReadOnly[str]]
    lastProbeTime: ReadOnly[Time]
    lastTransitionTime: ReadOnly[Time]
    reason: ReadOnly[str]
    message: ReadOnly[str]
    observedGeneration: ReadOnly[int]

class PodDNSConfig(TypedDict, total=False):
    nameservers: ReadOnly[Sequence[str]]
    searches: ReadOnly[Sequence[str]]
    options: ReadOnly[Sequence[PodDNSConfigOption]]

class PodDNSConfigOption(TypedDict, total=False):
    name: ReadOnly[str]
    value: ReadOnly[str]

class PodExtendedResourceClaimStatus(TypedDict, total=False):
    requestMappings: Required[ReadOnly[Sequence[ContainerExtendedResourceRequest]]]
    resourceClaimName: Required[ReadOnly[str]]

class PodIP(TypedDict, total=False):
    ip: Required[ReadOnly[str]]

class PodList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[Pod]]]

class PodOS(TypedDict, total=False):
    name: Required[ReadOnly[str]]

class PodReadinessGate(TypedDict, total=False):
    conditionType: Required[ReadOnly[str]]

class PodResourceClaim(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    resourceClaimName: ReadOnly[str]
    resourceClaimTemplateName: ReadOnly[str]

class PodResourceClaimStatus(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    resourceClaimName: ReadOnly[str]

class PodSchedulingGate(TypedDict, total=False):
    name: Required[ReadOnly[str]]

class PodSchedulingGroup(TypedDict, total=False):
    podGroupName: ReadOnly[str]

class PodSecurityContext(TypedDict, total=False):
    seLinuxOptions: ReadOnly[SELinuxOptions]
    runAsUser: ReadOnly[int]
    runAsNonRoot: ReadOnly[bool]
    supplementalGroups: ReadOnly[Sequence[int]]
    fsGroup: ReadOnly[int]
    runAsGroup: ReadOnly[int]
    sysctls: ReadOnly[Sequence[Sysctl]]
    windowsOptions: ReadOnly[WindowsSecurityContextOptions]
    fsGroupChangePolicy: ReadOnly[str]
    seccompProfile: ReadOnly[SeccompProfile]
    appArmorProfile: ReadOnly[AppArmorProfile]
    supplementalGroupsPolicy: ReadOnly[str]
    seLinuxChangePolicy: ReadOnly[str]

class PodSpec(TypedDict, total=False):
    volumes: ReadOnly[Sequence[Volume]]
    containers: Required[ReadOnly[Sequence[Container]]]
    restartPolicy: ReadOnly[str]
    terminationGracePeriodSeconds: ReadOnly[int]
    activeDeadlineSeconds: ReadOnly[int]
    dnsPolicy: ReadOnly[str]
    nodeSelector: ReadOnly[Mapping[str, str]]
    serviceAccountName: ReadOnly[str]
    serviceAccount: ReadOnly[str]
    nodeName: ReadOnly[str]
    hostNetwork: ReadOnly[bool]
    hostPID: ReadOnly[bool]
    hostIPC: ReadOnly[bool]
    securityContext: ReadOnly[PodSecurityContext]
    imagePullSecrets: ReadOnly[Sequence[LocalObjectReference]]
    hostname: ReadOnly[str]
    subdomain: ReadOnly[str]
    affinity: ReadOnly[Affinity]
    schedulerName: ReadOnly[str]
    initContainers: ReadOnly[Sequence[Container]]
    automountServiceAccountToken: ReadOnly[bool]
    tolerations: ReadOnly[Sequence[Toleration]]
    hostAliases: ReadOnly[Sequence[HostAlias]]
    priorityClassName: ReadOnly[str]
    priority: ReadOnly[int]
    dnsConfig: ReadOnly[PodDNSConfig]
    shareProcessNamespace: ReadOnly[bool]
    readinessGates: ReadOnly[Sequence[PodReadinessGate]]
    runtimeClassName: ReadOnly[str]
    enableServiceLinks: ReadOnly[bool]
    preemptionPolicy: ReadOnly[str]
    overhead: ReadOnly[Mapping[str, Quantity]]
    topologySpreadConstraints: ReadOnly[Sequence[TopologySpreadConstraint]]
    ephemeralContainers: ReadOnly[Sequence[EphemeralContainer]]
    setHostnameAsFQDN: ReadOnly[bool]
    os: ReadOnly[PodOS]
    hostUsers: ReadOnly[bool]
    schedulingGates: ReadOnly[Sequence[PodSchedulingGate]]
    resourceClaims: ReadOnly[Sequence[PodResourceClaim]]
    resources: ReadOnly[ResourceRequirements]
    hostnameOverride: ReadOnly[str]
    schedulingGroup: ReadOnly[PodSchedulingGroup]

class PodStatus(TypedDict, total=False):
    phase: ReadOnly[str]
    conditions: ReadOnly[Sequence[PodCondition]]
    message: ReadOnly[str]
    reason: ReadOnly[str]
    hostIP: ReadOnly[str]
    podIP: ReadOnly[str]
    startTime: ReadOnly[Time]
    containerStatuses: ReadOnly[Sequence[ContainerStatus]]
    qosClass: ReadOnly[str]
    initContainerStatuses: ReadOnly[Sequence[ContainerStatus]]
    nominatedNodeName: ReadOnly[str]
    podIPs: ReadOnly[Sequence[PodIP]]
    ephemeralContainerStatuses: ReadOnly[Sequence[ContainerStatus]]
    resize: ReadOnly[str]
    resourceClaimStatuses: ReadOnly[Sequence[PodResourceClaimStatus]]
    hostIPs: ReadOnly[Sequence[HostIP]]
    observedGeneration: ReadOnly[int]
    extendedResourceClaimStatus: ReadOnly[PodExtendedResourceClaimStatus]
    allocatedResources: ReadOnly[Mapping[str, Quantity]]
    resources: ReadOnly[ResourceRequirements]
    nodeAllocatableResourceClaimStatuses: ReadOnly[Sequence[NodeAllocatableResourceClaimStatus]]

class PodTemplate(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    template: ReadOnly[PodTemplateSpec]

class PodTemplateList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[PodTemplate]]]

class PodTemplateSpec(TypedDict, total=False):
    metadata: ReadOnly[ObjectMeta]
    spec: ReadOnly[PodSpec]

class PortStatus(TypedDict, total=False):
    port: Required[ReadOnly[int]]
    protocol: Required[ReadOnly[str]]
    error: ReadOnly[str]

class PortworxVolumeSource(TypedDict, total=False):
    volumeID: Required[ReadOnly[str]]
    fsType: ReadOnly[str]
    readOnly: ReadOnly[bool]

class PreferredSchedulingTerm(TypedDict, total=False):
    weight: Required[ReadOnly[int]]
    preference: Required[ReadOnly[NodeSelectorTerm]]

class Probe(TypedDict, total=False):
    exec: ReadOnly[ExecAction]
    httpGet: ReadOnly[HTTPGetAction]
    tcpSocket: ReadOnly[TCPSocketAction]
    grpc: ReadOnly[GRPCAction]
    initialDelaySeconds: ReadOnly[int]
    timeoutSeconds: ReadOnly[int]
    periodSeconds: ReadOnly[int]
    successThreshold: ReadOnly[int]
    failureThreshold: ReadOnly[int]
    terminationGracePeriodSeconds: ReadOnly[int]

class ProjectedVolumeSource(TypedDict, total=False):
    sources: ReadOnly[Sequence[VolumeProjection]]
    defaultMode: ReadOnly[int]

class QuobyteVolumeSource(TypedDict, total=False):
    registry: Required[ReadOnly[str]]
    volume: Required[ReadOnly[str]]
    readOnly: ReadOnly[bool]
    user: ReadOnly[str]
    group: ReadOnly[str]
    tenant: ReadOnly[str]

class RBDPersistentVolumeSource(TypedDict, total=False):
    monitors: Required[ReadOnly[Sequence[str]]]
    image: Required[ReadOnly[str]]
    fsType: ReadOnly[str]
    pool: ReadOnly[str]
    user: ReadOnly[str]
    keyring: ReadOnly[str]
    secretRef: ReadOnly[SecretReference]
    readOnly: ReadOnly[bool]

class RBDVolumeSource(TypedDict, total=False):
    monitors: Required[ReadOnly[Sequence[str]]]
    image: Required[ReadOnly[str]]
    fsType: ReadOnly[str]
    pool: ReadOnly[str]
    user: ReadOnly[str]
    keyring: ReadOnly[str]
    secretRef: ReadOnly[LocalObjectReference]
    readOnly: ReadOnly[bool]

class ReplicationController(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[ReplicationControllerSpec]
    status: ReadOnly[ReplicationControllerStatus]

class ReplicationControllerCondition(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    status: Required[ReadOnly[str]]
    lastTransitionTime: ReadOnly[Time]
    reason: ReadOnly[str]
    message: ReadOnly[str]

class ReplicationControllerList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[ReplicationController]]]

class ReplicationControllerSpec(TypedDict, total=False):
    replicas: ReadOnly[int]
    selector: ReadOnly[Mapping[str, str]]
    template: ReadOnly[PodTemplateSpec]
    minReadySeconds: ReadOnly[int]

class ReplicationControllerStatus(TypedDict, total=False):
    replicas: Required[ReadOnly[int]]
    fullyLabeledReplicas: ReadOnly[int]
    observedGeneration: ReadOnly[int]
    readyReplicas: ReadOnly[int]
    availableReplicas: ReadOnly[int]
    conditions: ReadOnly[Sequence[ReplicationControllerCondition]]

class ResourceClaim(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    request: ReadOnly[str]

class ResourceFieldSelector(TypedDict, total=False):
    containerName: ReadOnly[str]
    resource: Required[ReadOnly[str]]
    divisor: ReadOnly[Quantity]

class ResourceHealth(TypedDict, total=False):
    resourceID: Required[ReadOnly[str]]
    health: ReadOnly[str]
    message: ReadOnly[str]

class ResourceQuota(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[ResourceQuotaSpec]
    status: ReadOnly[ResourceQuotaStatus]

class ResourceQuotaList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[ResourceQuota]]]

class ResourceQuotaSpec(TypedDict, total=False):
    hard: ReadOnly[Mapping[str, Quantity]]
    scopes: ReadOnly[Sequence[str]]
    scopeSelector: ReadOnly[ScopeSelector]

class ResourceQuotaStatus(TypedDict, total=False):
    hard: ReadOnly[Mapping[str, Quantity]]
    used: ReadOnly[Mapping[str, Quantity]]

class ResourceRequirements(TypedDict, total=False):
    limits: ReadOnly[Mapping[str, Quantity]]
    requests: ReadOnly[Mapping[str, Quantity]]
    claims: ReadOnly[Sequence[ResourceClaim]]

class ResourceStatus(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    resources: ReadOnly[Sequence[ResourceHealth]]

class SELinuxOptions(TypedDict, total=False):
    user: ReadOnly[str]
    role: ReadOnly[str]
    type: ReadOnly[str]
    level: ReadOnly[str]

class ScaleIOPersistentVolumeSource(TypedDict, total=False):
    gateway: Required[ReadOnly[str]]
    system: Required[ReadOnly[str]]
    secretRef: Required[ReadOnly[SecretReference]]
    sslEnabled: ReadOnly[bool]
    protectionDomain: ReadOnly[str]
    storagePool: ReadOnly[str]
    storageMode: ReadOnly[str]
    volumeName: ReadOnly[str]
    fsType: ReadOnly[str]
    readOnly: ReadOnly[bool]

class ScaleIOVolumeSource(TypedDict, total=False):
    gateway: Required[ReadOnly[str]]
    system: Required[ReadOnly[str]]
    secretRef: Required[ReadOnly[LocalObjectReference]]
    sslEnabled: ReadOnly[bool]
    protectionDomain: ReadOnly[str]
    storagePool: ReadOnly[str]
    storageMode: ReadOnly[str]
    volumeName: ReadOnly[str]
    fsType: ReadOnly[str]
    readOnly: ReadOnly[bool]

class ScopeSelector(TypedDict, total=False):
    matchExpressions: ReadOnly[Sequence[ScopedResourceSelectorRequirement]]

class ScopedResourceSelectorRequirement(TypedDict, total=False):
    scopeName: Required[ReadOnly[str]]
    operator: Required[ReadOnly[str]]
    values: ReadOnly[Sequence[str]]

class SeccompProfile(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    localhostProfile: ReadOnly[str]

class Secret(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    data: ReadOnly[Mapping[str, Bytes]]
    type: ReadOnly[str]
    stringData: ReadOnly[Mapping[str, str]]
    immutable: ReadOnly[bool]

class SecretEnvSource(TypedDict, total=False):
    name: ReadOnly[str]
    optional: ReadOnly[bool]

class SecretKeySelector(TypedDict, total=False):
    name: ReadOnly[str]
    key: Required[ReadOnly[str]]
    optional: ReadOnly[bool]

class SecretList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[Secret]]]

class SecretProjection(TypedDict, total=False):
    name: ReadOnly[str]
    items: ReadOnly[Sequence[KeyToPath]]
    optional: ReadOnly[bool]

class SecretReference(TypedDict, total=False):
    name: ReadOnly[str]
    namespace: ReadOnly[str]

class SecretVolumeSource(TypedDict, total=False):
    secretName: ReadOnly[str]
    items: ReadOnly[Sequence[KeyToPath]]
    defaultMode: ReadOnly[int]
    optional: ReadOnly[bool]

class SecurityContext(TypedDict, total=False):
    capabilities: ReadOnly[Capabilities]
    privileged: ReadOnly[bool]
    seLinuxOptions: ReadOnly[SELinuxOptions]
    runAsUser: ReadOnly[int]
    runAsNonRoot: ReadOnly[bool]
    readOnlyRootFilesystem: ReadOnly[bool]
    allowPrivilegeEscalation: ReadOnly[bool]
    runAsGroup: ReadOnly[int]
    procMount: ReadOnly[str]
    windowsOptions: ReadOnly[WindowsSecurityContextOptions]
    seccompProfile: ReadOnly[SeccompProfile]
    appArmorProfile: ReadOnly[AppArmorProfile]

class Service(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[ServiceSpec]
    status: ReadOnly[ServiceStatus]

class ServiceAccount(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    secrets: ReadOnly[Sequence[ObjectReference]]
    imagePullSecrets: ReadOnly[Sequence[LocalObjectReference]]
    automountServiceAccountToken: ReadOnly[bool]

class ServiceAccountList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[ServiceAccount]]]

class ServiceAccountTokenProjection(TypedDict, total=False):
    audience: ReadOnly[str]
    expirationSeconds: ReadOnly[int]
    path: Required[ReadOnly[str]]

class ServiceList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[Service]]]

class ServicePort(TypedDict, total=False):
    name: ReadOnly[str]
    protocol: ReadOnly[str]
    port: Required[ReadOnly[int]]
    targetPort: ReadOnly[IntOrString]
    nodePort: ReadOnly[int]
    appProtocol: ReadOnly[str]

class ServiceSpec(TypedDict, total=False):
    ports: ReadOnly[Sequence[ServicePort]]
    selector: ReadOnly[Mapping[str, str]]
    clusterIP: ReadOnly[str]
    type: ReadOnly[str]
    externalIPs: ReadOnly[Sequence[str]]
    sessionAffinity: ReadOnly[str]
    loadBalancerIP: ReadOnly[str]
    loadBalancerSourceRanges: ReadOnly[Sequence[str]]
    externalName: ReadOnly[str]
    externalTrafficPolicy: ReadOnly[str]
    healthCheckNodePort: ReadOnly[int]
    publishNotReadyAddresses: ReadOnly[bool]
    sessionAffinityConfig: ReadOnly[SessionAffinityConfig]
    ipFamilyPolicy: ReadOnly[str]
    clusterIPs: ReadOnly[Sequence[str]]
    ipFamilies: ReadOnly[Sequence[str]]
    allocateLoadBalancerNodePorts: ReadOnly[bool]
    loadBalancerClass: ReadOnly[str]
    internalTrafficPolicy: ReadOnly[str]
    trafficDistribution: ReadOnly[str]

class ServiceStatus(TypedDict, total=False):
    loadBalancer: ReadOnly[LoadBalancerStatus]
    conditions: ReadOnly[Sequence[Condition]]

class SessionAffinityConfig(TypedDict, total=False):
    clientIP: ReadOnly[ClientIPConfig]

class SleepAction(TypedDict, total=False):
    seconds: Required[ReadOnly[int]]

class StorageOSPersistentVolumeSource(TypedDict, total=False):
    volumeName: ReadOnly[str]
    volumeNamespace: ReadOnly[str]
    fsType: ReadOnly[str]
    readOnly: ReadOnly[bool]
    secretRef: ReadOnly[ObjectReference]

class StorageOSVolumeSource(TypedDict, total=False):
    volumeName: ReadOnly[str]
    volumeNamespace: ReadOnly[str]
    fsType: ReadOnly[str]
    readOnly: ReadOnly[bool]
    secretRef: ReadOnly[LocalObjectReference]

class Sysctl(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    value: Required[ReadOnly[str]]

class TCPSocketAction(TypedDict, total=False):
    port: Required[ReadOnly[IntOrString]]
    host: ReadOnly[str]

class Taint(TypedDict, total=False):
    key: Required[ReadOnly[str]]
    value: ReadOnly[str]
    effect: Required[ReadOnly[str]]
    timeAdded: ReadOnly[Time]

class Toleration(TypedDict, total=False):
    key: ReadOnly[str]
    operator: ReadOnly[str]
    value: ReadOnly[str]
    effect: ReadOnly[str]
    tolerationSeconds: ReadOnly[int]

class TopologySelectorLabelRequirement(TypedDict, total=False):
    key: Required[ReadOnly[str]]
    values: Required[ReadOnly[Sequence[str]]]

class TopologySelectorTerm(TypedDict, total=False):
    matchLabelExpressions: ReadOnly[Sequence[TopologySelectorLabelRequirement]]

class TopologySpreadConstraint(TypedDict, total=False):
    maxSkew: Required[ReadOnly[int]]
    topologyKey: Required[ReadOnly[str]]
    whenUnsatisfiable: Required[ReadOnly[str]]
    labelSelector: ReadOnly[LabelSelector]
    minDomains: ReadOnly[int]
    nodeAffinityPolicy: ReadOnly[str]
    nodeTaintsPolicy: ReadOnly[str]
    matchLabelKeys: ReadOnly[Sequence[str]]

class TypedLocalObjectReference(TypedDict, total=False):
    apiGroup: ReadOnly[str]
    kind: Required[ReadOnly[str]]
    name: Required[ReadOnly[str]]

class TypedObjectReference(TypedDict, total=False):
    apiGroup: ReadOnly[str]
    kind: Required[ReadOnly[str]]
    name: Required[ReadOnly[str]]
    namespace: ReadOnly[str]

class Volume(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    hostPath: ReadOnly[HostPathVolumeSource]
    emptyDir: ReadOnly[EmptyDirVolumeSource]
    gcePersistentDisk: ReadOnly[GCEPersistentDiskVolumeSource]
    awsElasticBlockStore: ReadOnly[AWSElasticBlockStoreVolumeSource]
    gitRepo: ReadOnly[GitRepoVolumeSource]
    secret: ReadOnly[SecretVolumeSource]
    nfs: ReadOnly[NFSVolumeSource]
    iscsi: ReadOnly[ISCSIVolumeSource]
    glusterfs: ReadOnly[GlusterfsVolumeSource]
    persistentVolumeClaim: ReadOnly[PersistentVolumeClaimVolumeSource]
    rbd: ReadOnly[RBDVolumeSource]
    flexVolume: ReadOnly[FlexVolumeSource]
    cinder: ReadOnly[CinderVolumeSource]
    cephfs: ReadOnly[CephFSVolumeSource]
    flocker: ReadOnly[FlockerVolumeSource]
    downwardAPI: ReadOnly[DownwardAPIVolumeSource]
    fc: ReadOnly[FCVolumeSource]
    azureFile: ReadOnly[AzureFileVolumeSource]
    configMap: ReadOnly[ConfigMapVolumeSource]
    vsphereVolume: ReadOnly[VsphereVirtualDiskVolumeSource]
    quobyte: ReadOnly[QuobyteVolumeSource]
    azureDisk: ReadOnly[AzureDiskVolumeSource]
    photonPersistentDisk: ReadOnly[PhotonPersistentDiskVolumeSource]
    portworxVolume: ReadOnly[PortworxVolumeSource]
    scaleIO: ReadOnly[ScaleIOVolumeSource]
    projected: ReadOnly[ProjectedVolumeSource]
    storageos: ReadOnly[StorageOSVolumeSource]
    csi: ReadOnly[CSIVolumeSource]
    ephemeral: ReadOnly[EphemeralVolumeSource]
    image: ReadOnly[ImageVolumeSource]

class VolumeDevice(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    devicePath: Required[ReadOnly[str]]

class VolumeMount(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    readOnly: ReadOnly[bool]
    mountPath: Required[ReadOnly[str]]
    subPath: ReadOnly[str]
    mountPropagation: ReadOnly[str]
    subPathExpr: ReadOnly[str]
    recursiveReadOnly: ReadOnly[str]

class VolumeMountStatus(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    mountPath: Required[ReadOnly[str]]
    readOnly: ReadOnly[bool]
    recursiveReadOnly: ReadOnly[str]
    volumeStatus: ReadOnly[VolumeStatus]

class VolumeNodeAffinity(TypedDict, total=False):
    required: ReadOnly[NodeSelector]

class VolumeProjection(TypedDict, total=False):
    secret: ReadOnly[SecretProjection]
    downwardAPI: ReadOnly[DownwardAPIProjection]
    configMap: ReadOnly[ConfigMapProjection]
    serviceAccountToken: ReadOnly[ServiceAccountTokenProjection]
    clusterTrustBundle: ReadOnly[ClusterTrustBundleProjection]
    podCertificate: ReadOnly[PodCertificateProjection]

class VolumeResourceRequirements(TypedDict, total=False):
    limits: ReadOnly[Mapping[str, Quantity]]
    requests: ReadOnly[Mapping[str, Quantity]]

class VolumeStatus(TypedDict, total=False):
    image: ReadOnly[ImageVolumeStatus]

class VsphereVirtualDiskVolumeSource(TypedDict, total=False):
    volumePath: Required[ReadOnly[str]]
    fsType: ReadOnly[str]
    storagePolicyName: ReadOnly[str]
    storagePolicyID: ReadOnly[str]

class WeightedPodAffinityTerm(TypedDict, total=False):
    weight: Required[ReadOnly[int]]
    podAffinityTerm: Required[ReadOnly[PodAffinityTerm]]

class WindowsSecurityContextOptions(TypedDict, total=False):
    gmsaCredentialSpecName: ReadOnly[str]
    gmsaCredentialSpec: ReadOnly[str]
    runAsUserName: ReadOnly[str]
    hostProcess: ReadOnly[bool]

class APIGroup(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    name: Required[ReadOnly[str]]
    versions: Required[ReadOnly[Sequence[GroupVersionForDiscovery]]]
    preferredVersion: ReadOnly[GroupVersionForDiscovery]
    serverAddressByClientCIDRs: ReadOnly[Sequence[ServerAddressByClientCIDR]]

class APIGroupList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    groups: Required[ReadOnly[Sequence[APIGroup]]]

class APIResource(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    namespaced: Required[ReadOnly[bool]]
    kind: Required[ReadOnly[str]]
    verbs: Required[ReadOnly[Sequence[str]]]
    shortNames: ReadOnly[Sequence[str]]
    singularName: Required[ReadOnly[str]]
    categories: ReadOnly[Sequence[str]]
    group: ReadOnly[str]
    version: ReadOnly[str]
    storageVersionHash: ReadOnly[str]

class APIResourceList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    groupVersion: Required[ReadOnly[str]]
    resources: Required[ReadOnly[Sequence[APIResource]]]

class APIVersions(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    versions: Required[ReadOnly[Sequence[str]]]
    serverAddressByClientCIDRs: Required[ReadOnly[Sequence[ServerAddressByClientCIDR]]]

class Condition(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    status: Required[ReadOnly[str]]
    observedGeneration: ReadOnly[int]
    lastTransitionTime: Required[ReadOnly[Time]]
    reason: Required[ReadOnly[str]]
    message: Required[ReadOnly[str]]

class DeleteOptions(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    gracePeriodSeconds: ReadOnly[int]
    preconditions: ReadOnly[Preconditions]
    orphanDependents: ReadOnly[bool]
    propagationPolicy: ReadOnly[str]
    dryRun: ReadOnly[Sequence[str]]
    ignoreStoreReadErrorWithClusterBreakingPotential: ReadOnly[bool]

class FieldSelectorRequirement(TypedDict, total=False):
    key: Required[ReadOnly[str]]
    operator: Required[ReadOnly[str]]
    values: ReadOnly[Sequence[str]]

class GroupVersionForDiscovery(TypedDict, total=False):
    groupVersion: Required[ReadOnly[str]]
    version: Required[ReadOnly[str]]

class LabelSelector(TypedDict, total=False):
    matchLabels: ReadOnly[Mapping[str, str]]
    matchExpressions: ReadOnly[Sequence[LabelSelectorRequirement]]

class LabelSelectorRequirement(TypedDict, total=False):
    key: Required[ReadOnly[str]]
    operator: Required[ReadOnly[str]]
    values: ReadOnly[Sequence[str]]

ListMeta = TypedDict(
    "ListMeta",
    {
        "selfLink": ReadOnly[str],
        "resourceVersion": ReadOnly[str],
        "continue": ReadOnly[str],
        "remainingItemCount": ReadOnly[int],
        "shardInfo": ReadOnly[ShardInfo],
    },
    total=False,
)

class ManagedFieldsEntry(TypedDict, total=False):
    manager: ReadOnly[str]
    operation: ReadOnly[str]
    apiVersion: ReadOnly[str]
    time: ReadOnly[Time]
    fieldsType: ReadOnly[str]
    fieldsV1: ReadOnly[Any]
    subresource: ReadOnly[str]

class ObjectMeta(TypedDict, total=False):
    name: ReadOnly[str]
    generateName: ReadOnly[str]
    namespace: ReadOnly[str]
    selfLink: ReadOnly[str]
    uid: ReadOnly[str]
    resourceVersion: ReadOnly[str]
    generation: ReadOnly[int]
    creationTimestamp: ReadOnly[Time]
    deletionTimestamp: ReadOnly[Time]
    deletionGracePeriodSeconds: ReadOnly[int]
    labels: ReadOnly[Mapping[str, str]]
    annotations: ReadOnly[Mapping[str, str]]
    ownerReferences: ReadOnly[Sequence[OwnerReference]]
    finalizers: ReadOnly[Sequence[str]]
    managedFields: ReadOnly[Sequence[ManagedFieldsEntry]]

class OwnerReference(TypedDict, total=False):
    kind: Required[ReadOnly[str]]
    name: Required[ReadOnly[str]]
    uid: Required[ReadOnly[str]]
    apiVersion: Required[ReadOnly[str]]
    controller: ReadOnly[bool]
    blockOwnerDeletion: ReadOnly[bool]

class Preconditions(TypedDict, total=False):
    uid: ReadOnly[str]
    resourceVersion: ReadOnly[str]

class ServerAddressByClientCIDR(TypedDict, total=False):
    clientCIDR: Required[ReadOnly[str]]
    serverAddress: Required[ReadOnly[str]]

class ShardInfo(TypedDict, total=False):
    selector: Required[ReadOnly[str]]

class Status(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    status: ReadOnly[str]
    message: ReadOnly[str]
    reason: ReadOnly[str]
    details: ReadOnly[StatusDetails]
    code: ReadOnly[int]

class StatusCause(TypedDict, total=False):
    reason: ReadOnly[str]
    message: ReadOnly[str]
    field: ReadOnly[str]

class StatusDetails(TypedDict, total=False):
    name: ReadOnly[str]
    group: ReadOnly[str]
    kind: ReadOnly[str]
    causes: ReadOnly[Sequence[StatusCause]]
    retryAfterSeconds: ReadOnly[int]
    uid: ReadOnly[str]

class WatchEvent(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    type: Required[ReadOnly[str]]
    object: Required[ReadOnly[Any]]

class ControllerRevision(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    data: ReadOnly[Any]
    revision: Required[ReadOnly[int]]

class ControllerRevisionList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[ControllerRevision]]]

class DaemonSet(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[DaemonSetSpec]
    status: ReadOnly[DaemonSetStatus]

class DaemonSetCondition(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    status: Required[ReadOnly[str]]
    lastTransitionTime: ReadOnly[Time]
    reason: ReadOnly[str]
    message: ReadOnly[str]

class DaemonSetList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[DaemonSet]]]

class DaemonSetSpec(TypedDict, total=False):
    selector: Required[ReadOnly[LabelSelector]]
    template: Required[ReadOnly[PodTemplateSpec]]
    updateStrategy: ReadOnly[DaemonSetUpdateStrategy]
    minReadySeconds: ReadOnly[int]
    revisionHistoryLimit: ReadOnly[int]

class DaemonSetStatus(TypedDict, total=False):
    currentNumberScheduled: Required[ReadOnly[int]]
    numberMisscheduled: Required[ReadOnly[int]]
    desiredNumberScheduled: Required[ReadOnly[int]]
    numberReady: Required[ReadOnly[int]]
    observedGeneration: ReadOnly[int]
    updatedNumberScheduled: ReadOnly[int]
    numberAvailable: ReadOnly[int]
    numberUnavailable: ReadOnly[int]
    collisionCount: ReadOnly[int]
    conditions: ReadOnly[Sequence[DaemonSetCondition]]

class DaemonSetUpdateStrategy(TypedDict, total=False):
    type: ReadOnly[str]
    rollingUpdate: ReadOnly[RollingUpdateDaemonSet]

class Deployment(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[DeploymentSpec]
    status: ReadOnly[DeploymentStatus]

class DeploymentCondition(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    status: Required[ReadOnly[str]]
    reason: ReadOnly[str]
    message: ReadOnly[str]
    lastUpdateTime: ReadOnly[Time]
    lastTransitionTime: ReadOnly[Time]

class DeploymentList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[Deployment]]]

class DeploymentSpec(TypedDict, total=False):
    replicas: ReadOnly[int]
    selector: Required[ReadOnly[LabelSelector]]
    template: Required[ReadOnly[PodTemplateSpec]]
    strategy: ReadOnly[DeploymentStrategy]
    minReadySeconds: ReadOnly[int]
    revisionHistoryLimit: ReadOnly[int]
    paused: ReadOnly[bool]
    progressDeadlineSeconds: ReadOnly[int]

class DeploymentStatus(TypedDict, total=False):
    observedGeneration: ReadOnly[int]
    replicas: ReadOnly[int]
    updatedReplicas: ReadOnly[int]
    availableReplicas: ReadOnly[int]
    unavailableReplicas: ReadOnly[int]
    conditions: ReadOnly[Sequence[DeploymentCondition]]
    readyReplicas: ReadOnly[int]
    collisionCount: ReadOnly[int]
    terminatingReplicas: ReadOnly[int]

class DeploymentStrategy(TypedDict, total=False):
    type: ReadOnly[str]
    rollingUpdate: ReadOnly[RollingUpdateDeployment]

class ReplicaSet(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[ReplicaSetSpec]
    status: ReadOnly[ReplicaSetStatus]

class ReplicaSetCondition(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    status: Required[ReadOnly[str]]
    lastTransitionTime: ReadOnly[Time]
    reason: ReadOnly[str]
    message: ReadOnly[str]

class ReplicaSetList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[ReplicaSet]]]

class ReplicaSetSpec(TypedDict, total=False):
    replicas: ReadOnly[int]
    selector: Required[ReadOnly[LabelSelector]]
    template: ReadOnly[PodTemplateSpec]
    minReadySeconds: ReadOnly[int]

class ReplicaSetStatus(TypedDict, total=False):
    replicas: Required[ReadOnly[int]]
    fullyLabeledReplicas: ReadOnly[int]
    observedGeneration: ReadOnly[int]
    readyReplicas: ReadOnly[int]
    availableReplicas: ReadOnly[int]
    conditions: ReadOnly[Sequence[ReplicaSetCondition]]
    terminatingReplicas: ReadOnly[int]

class RollingUpdateDaemonSet(TypedDict, total=False):
    maxUnavailable: ReadOnly[IntOrString]
    maxSurge: ReadOnly[IntOrString]

class RollingUpdateDeployment(TypedDict, total=False):
    maxUnavailable: ReadOnly[IntOrString]
    maxSurge: ReadOnly[IntOrString]

class RollingUpdateStatefulSetStrategy(TypedDict, total=False):
    partition: ReadOnly[int]
    maxUnavailable: ReadOnly[IntOrString]

class StatefulSet(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[StatefulSetSpec]
    status: ReadOnly[StatefulSetStatus]

class StatefulSetCondition(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    status: Required[ReadOnly[str]]
    lastTransitionTime: ReadOnly[Time]
    reason: ReadOnly[str]
    message: ReadOnly[str]

class StatefulSetList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[StatefulSet]]]

class StatefulSetOrdinals(TypedDict, total=False):
    start: ReadOnly[int]

class StatefulSetPersistentVolumeClaimRetentionPolicy(TypedDict, total=False):
    whenDeleted: ReadOnly[str]
    whenScaled: ReadOnly[str]

class StatefulSetSpec(TypedDict, total=False):
    replicas: ReadOnly[int]
    selector: Required[ReadOnly[LabelSelector]]
    template: Required[ReadOnly[PodTemplateSpec]]
    volumeClaimTemplates: ReadOnly[Sequence[PersistentVolumeClaim]]
    serviceName: ReadOnly[str]
    podManagementPolicy: ReadOnly[str]
    updateStrategy: ReadOnly[StatefulSetUpdateStrategy]
    revisionHistoryLimit: ReadOnly[int]
    minReadySeconds: ReadOnly[int]
    persistentVolumeClaimRetentionPolicy: ReadOnly[StatefulSetPersistentVolumeClaimRetentionPolicy]
    ordinals: ReadOnly[StatefulSetOrdinals]

class StatefulSetStatus(TypedDict, total=False):
    observedGeneration: ReadOnly[int]
    replicas: Required[ReadOnly[int]]
    readyReplicas: ReadOnly[int]
    currentReplicas: ReadOnly[int]
    updatedReplicas: ReadOnly[int]
    currentRevision: ReadOnly[str]
    updateRevision: ReadOnly[str]
    collisionCount: ReadOnly[int]
    conditions: ReadOnly[Sequence[StatefulSetCondition]]
    availableReplicas: ReadOnly[int]

class StatefulSetUpdateStrategy(TypedDict, total=False):
    type: ReadOnly[str]
    rollingUpdate: ReadOnly[RollingUpdateStatefulSetStrategy]

class ApplyConfiguration(TypedDict, total=False):
    expression: ReadOnly[str]

class AuditAnnotation(TypedDict, total=False):
    key: Required[ReadOnly[str]]
    valueExpression: Required[ReadOnly[str]]

class ExpressionWarning(TypedDict, total=False):
    fieldRef: Required[ReadOnly[str]]
    warning: Required[ReadOnly[str]]

class JSONPatch(TypedDict, total=False):
    expression: ReadOnly[str]

class MatchCondition(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    expression: Required[ReadOnly[str]]

class MatchResources(TypedDict, total=False):
    namespaceSelector: ReadOnly[LabelSelector]
    objectSelector: ReadOnly[LabelSelector]
    resourceRules: ReadOnly[Sequence[NamedRuleWithOperations]]
    excludeResourceRules: ReadOnly[Sequence[NamedRuleWithOperations]]
    matchPolicy: ReadOnly[str]

class MutatingAdmissionPolicy(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[MutatingAdmissionPolicySpec]

class MutatingAdmissionPolicyBinding(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[MutatingAdmissionPolicyBindingSpec]

class MutatingAdmissionPolicyBindingList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[MutatingAdmissionPolicyBinding]]]

class MutatingAdmissionPolicyBindingSpec(TypedDict, total=False):
    policyName: ReadOnly[str]
    paramRef: ReadOnly[ParamRef]
    matchResources: ReadOnly[MatchResources]

class MutatingAdmissionPolicyList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[MutatingAdmissionPolicy]]]

class MutatingAdmissionPolicySpec(TypedDict, total=False):
    paramKind: ReadOnly[ParamKind]
    matchConstraints: ReadOnly[MatchResources]
    variables: ReadOnly[Sequence[Variable]]
    mutations: ReadOnly[Sequence[Mutation]]
    failurePolicy: ReadOnly[str]
    matchConditions: ReadOnly[Sequence[MatchCondition]]
    reinvocationPolicy: ReadOnly[str]

class MutatingWebhook(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    clientConfig: Required[ReadOnly[WebhookClientConfig]]
    rules: ReadOnly[Sequence[RuleWithOperations]]
    failurePolicy: ReadOnly[str]
    namespaceSelector: ReadOnly[LabelSelector]
    sideEffects: Required[ReadOnly[str]]
    timeoutSeconds: ReadOnly[int]
    admissionReviewVersions: Required[ReadOnly[Sequence[str]]]
    matchPolicy: ReadOnly[str]
    reinvocationPolicy: ReadOnly[str]
    objectSelector: ReadOnly[LabelSelector]
    matchConditions: ReadOnly[Sequence[MatchCondition]]

class MutatingWebhookConfiguration(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    webhooks: ReadOnly[Sequence[MutatingWebhook]]

class MutatingWebhookConfigurationList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[MutatingWebhookConfiguration]]]

class Mutation(TypedDict, total=False):
    patchType: Required[ReadOnly[str]]
    applyConfiguration: ReadOnly[ApplyConfiguration]
    jsonPatch: ReadOnly[JSONPatch]

class NamedRuleWithOperations(TypedDict, total=False):
    resourceNames: ReadOnly[Sequence[str]]
    operations: ReadOnly[Sequence[str]]
    apiGroups: ReadOnly[Sequence[str]]
    apiVersions: ReadOnly[Sequence[str]]
    resources: ReadOnly[Sequence[str]]
    scope: ReadOnly[str]

class ParamKind(TypedDict, total=False):
    apiVersion: ReadOnly[str]
    kind: ReadOnly[str]

class ParamRef(TypedDict, total=False):
    name: ReadOnly[str]
    namespace: ReadOnly[str]
    selector: ReadOnly[LabelSelector]
    parameterNotFoundAction: ReadOnly[str]

class RuleWithOperations(TypedDict, total=False):
    operations: ReadOnly[Sequence[str]]
    apiGroups: ReadOnly[Sequence[str]]
    apiVersions: ReadOnly[Sequence[str]]
    resources: ReadOnly[Sequence[str]]
    scope: ReadOnly[str]

class ServiceReference(TypedDict, total=False):
    namespace: Required[ReadOnly[str]]
    name: Required[ReadOnly[str]]
    path: ReadOnly[str]
    port: ReadOnly[int]

class TypeChecking(TypedDict, total=False):
    expressionWarnings: ReadOnly[Sequence[ExpressionWarning]]

class ValidatingAdmissionPolicy(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[ValidatingAdmissionPolicySpec]
    status: ReadOnly[ValidatingAdmissionPolicyStatus]

class ValidatingAdmissionPolicyBinding(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[ValidatingAdmissionPolicyBindingSpec]]

class ValidatingAdmissionPolicyBindingList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[ValidatingAdmissionPolicyBinding]]]

class ValidatingAdmissionPolicyBindingSpec(TypedDict, total=False):
    policyName: Required[ReadOnly[str]]
    paramRef: ReadOnly[ParamRef]
    matchResources: ReadOnly[MatchResources]
    validationActions: Required[ReadOnly[Sequence[str]]]

class ValidatingAdmissionPolicyList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[ValidatingAdmissionPolicy]]]

class ValidatingAdmissionPolicySpec(TypedDict, total=False):
    paramKind: ReadOnly[ParamKind]
    matchConstraints: ReadOnly[MatchResources]
    validations: ReadOnly[Sequence[Validation]]
    failurePolicy: ReadOnly[str]
    auditAnnotations: ReadOnly[Sequence[AuditAnnotation]]
    matchConditions: ReadOnly[Sequence[MatchCondition]]
    variables: ReadOnly[Sequence[Variable]]

class ValidatingAdmissionPolicyStatus(TypedDict, total=False):
    observedGeneration: ReadOnly[int]
    typeChecking: ReadOnly[TypeChecking]
    conditions: ReadOnly[Sequence[Condition]]

class ValidatingWebhook(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    clientConfig: Required[ReadOnly[WebhookClientConfig]]
    rules: ReadOnly[Sequence[RuleWithOperations]]
    failurePolicy: ReadOnly[str]
    namespaceSelector: ReadOnly[LabelSelector]
    sideEffects: Required[ReadOnly[str]]
    timeoutSeconds: ReadOnly[int]
    admissionReviewVersions: Required[ReadOnly[Sequence[str]]]
    matchPolicy: ReadOnly[str]
    objectSelector: ReadOnly[LabelSelector]
    matchConditions: ReadOnly[Sequence[MatchCondition]]

class ValidatingWebhookConfiguration(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    webhooks: ReadOnly[Sequence[ValidatingWebhook]]

class ValidatingWebhookConfigurationList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[ValidatingWebhookConfiguration]]]

class Validation(TypedDict, total=False):
    expression: Required[ReadOnly[str]]
    message: ReadOnly[str]
    reason: ReadOnly[str]
    messageExpression: ReadOnly[str]

class Variable(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    expression: Required[ReadOnly[str]]

class WebhookClientConfig(TypedDict, total=False):
    service: ReadOnly[ServiceReference]
    caBundle: ReadOnly[Bytes]
    url: ReadOnly[str]

class CustomResourceColumnDefinition(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    type: Required[ReadOnly[str]]
    format: ReadOnly[str]
    description: ReadOnly[str]
    priority: ReadOnly[int]
    jsonPath: Required[ReadOnly[str]]

class CustomResourceConversion(TypedDict, total=False):
    strategy: Required[ReadOnly[str]]
    webhook: ReadOnly[WebhookConversion]

class CustomResourceDefinition(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[CustomResourceDefinitionSpec]]
    status: ReadOnly[CustomResourceDefinitionStatus]

class CustomResourceDefinitionCondition(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    status: Required[ReadOnly[str]]
    lastTransitionTime: ReadOnly[Time]
    reason: ReadOnly[str]
    message: ReadOnly[str]
    observedGeneration: ReadOnly[int]

class CustomResourceDefinitionList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[CustomResourceDefinition]]]

class CustomResourceDefinitionNames(TypedDict, total=False):
    plural: Required[ReadOnly[str]]
    singular: ReadOnly[str]
    shortNames: ReadOnly[Sequence[str]]
    kind: Required[ReadOnly[str]]
    listKind: ReadOnly[str]
    categories: ReadOnly[Sequence[str]]

class CustomResourceDefinitionSpec(TypedDict, total=False):
    group: Required[ReadOnly[str]]
    names: Required[ReadOnly[CustomResourceDefinitionNames]]
    scope: Required[ReadOnly[str]]
    versions: Required[ReadOnly[Sequence[CustomResourceDefinitionVersion]]]
    conversion: ReadOnly[CustomResourceConversion]
    preserveUnknownFields: ReadOnly[bool]

class CustomResourceDefinitionStatus(TypedDict, total=False):
    conditions: ReadOnly[Sequence[CustomResourceDefinitionCondition]]
    acceptedNames: ReadOnly[CustomResourceDefinitionNames]
    storedVersions: ReadOnly[Sequence[str]]
    observedGeneration: ReadOnly[int]

class CustomResourceDefinitionVersion(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    served: Required[ReadOnly[bool]]
    storage: Required[ReadOnly[bool]]
    schema: ReadOnly[CustomResourceValidation]
    subresources: ReadOnly[CustomResourceSubresources]
    additionalPrinterColumns: ReadOnly[Sequence[CustomResourceColumnDefinition]]
    deprecated: ReadOnly[bool]
    deprecationWarning: ReadOnly[str]
    selectableFields: ReadOnly[Sequence[SelectableField]]

class CustomResourceSubresourceScale(TypedDict, total=False):
    specReplicasPath: Required[ReadOnly[str]]
    statusReplicasPath: Required[ReadOnly[str]]
    labelSelectorPath: ReadOnly[str]

class CustomResourceSubresources(TypedDict, total=False):
    status: ReadOnly[Any]
    scale: ReadOnly[CustomResourceSubresourceScale]

class CustomResourceValidation(TypedDict, total=False):
    openAPIV3Schema: ReadOnly[JSONSchemaProps]

class ExternalDocumentation(TypedDict, total=False):
    description: ReadOnly[str]
    url: ReadOnly[str]

JSONSchemaProps = TypedDict(
    "JSONSchemaProps",
    {
        "id": ReadOnly[str],
        "$schema": ReadOnly[str],
        "$ref": ReadOnly[str],
        "description": ReadOnly[str],
        "type": ReadOnly[str],
        "format": ReadOnly[str],
        "title": ReadOnly[str],
        "default": ReadOnly[Any],
        "maximum": ReadOnly[float],
        "exclusiveMaximum": ReadOnly[bool],
        "minimum": ReadOnly[float],
        "exclusiveMinimum": ReadOnly[bool],
        "maxLength": ReadOnly[int],
        "minLength": ReadOnly[int],
        "pattern": ReadOnly[str],
        "maxItems": ReadOnly[int],
        "minItems": ReadOnly[int],
        "uniqueItems": ReadOnly[bool],
        "multipleOf": ReadOnly[float],
        "enum": ReadOnly[Sequence[Any]],
        "maxProperties": ReadOnly[int],
        "minProperties": ReadOnly[int],
        "required": ReadOnly[Sequence[str]],
        "items": ReadOnly[Any],
        "allOf": ReadOnly[Sequence[JSONSchemaProps]],
        "oneOf": ReadOnly[Sequence[JSONSchemaProps]],
        "anyOf": ReadOnly[Sequence[JSONSchemaProps]],
        "not": ReadOnly[JSONSchemaProps],
        "properties": ReadOnly[Mapping[str, JSONSchemaProps]],
        "additionalProperties": ReadOnly[Any],
        "patternProperties": ReadOnly[Mapping[str, JSONSchemaProps]],
        "dependencies": ReadOnly[Mapping[str, Any]],
        "additionalItems": ReadOnly[Any],
        "definitions": ReadOnly[Mapping[str, JSONSchemaProps]],
        "externalDocs": ReadOnly[ExternalDocumentation],
        "example": ReadOnly[Any],
        "nullable": ReadOnly[bool],
        "x-kubernetes-preserve-unknown-fields": ReadOnly[bool],
        "x-kubernetes-embedded-resource": ReadOnly[bool],
        "x-kubernetes-int-or-string": ReadOnly[bool],
        "x-kubernetes-list-map-keys": ReadOnly[Sequence[str]],
        "x-kubernetes-list-type": ReadOnly[str],
        "x-kubernetes-map-type": ReadOnly[str],
        "x-kubernetes-validations": ReadOnly[Sequence[ValidationRule]],
    },
    total=False,
)

class SelectableField(TypedDict, total=False):
    jsonPath: Required[ReadOnly[str]]

class ApiextensionsV1ServiceReference(TypedDict, total=False):
    namespace: Required[ReadOnly[str]]
    name: Required[ReadOnly[str]]
    path: ReadOnly[str]
    port: ReadOnly[int]

class ValidationRule(TypedDict, total=False):
    rule: Required[ReadOnly[str]]
    message: ReadOnly[str]
    messageExpression: ReadOnly[str]
    reason: ReadOnly[str]
    fieldPath: ReadOnly[str]
    optionalOldSelf: ReadOnly[bool]

class ApiextensionsV1WebhookClientConfig(TypedDict, total=False):
    service: ReadOnly[ApiextensionsV1ServiceReference]
    caBundle: ReadOnly[Bytes]
    url: ReadOnly[str]

class WebhookConversion(TypedDict, total=False):
    clientConfig: ReadOnly[ApiextensionsV1WebhookClientConfig]
    conversionReviewVersions: Required[ReadOnly[Sequence[str]]]

class APIService(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[APIServiceSpec]
    status: ReadOnly[APIServiceStatus]

class APIServiceCondition(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    status: Required[ReadOnly[str]]
    lastTransitionTime: ReadOnly[Time]
    reason: ReadOnly[str]
    message: ReadOnly[str]

class APIServiceList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[APIService]]]

class APIServiceSpec(TypedDict, total=False):
    service: ReadOnly[ApiregistrationV1ServiceReference]
    group: ReadOnly[str]
    version: ReadOnly[str]
    insecureSkipTLSVerify: ReadOnly[bool]
    caBundle: ReadOnly[Bytes]
    groupPriorityMinimum: Required[ReadOnly[int]]
    versionPriority: Required[ReadOnly[int]]

class APIServiceStatus(TypedDict, total=False):
    conditions: ReadOnly[Sequence[APIServiceCondition]]

class ApiregistrationV1ServiceReference(TypedDict, total=False):
    namespace: ReadOnly[str]
    name: ReadOnly[str]
    port: ReadOnly[int]

class BoundObjectReference(TypedDict, total=False):
    kind: ReadOnly[str]
    apiVersion: ReadOnly[str]
    name: ReadOnly[str]
    uid: ReadOnly[str]

class SelfSubjectReview(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    status: ReadOnly[SelfSubjectReviewStatus]

class SelfSubjectReviewStatus(TypedDict, total=False):
    userInfo: ReadOnly[UserInfo]

class TokenRequest(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[TokenRequestSpec]
    status: ReadOnly[TokenRequestStatus]

class TokenRequestSpec(TypedDict, total=False):
    audiences: ReadOnly[Sequence[str]]
    boundObjectRef: ReadOnly[BoundObjectReference]
    expirationSeconds: ReadOnly[int]

class TokenRequestStatus(TypedDict, total=False):
    token: ReadOnly[str]
    expirationTimestamp: ReadOnly[Time]

class TokenReview(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[TokenReviewSpec]]
    status: ReadOnly[TokenReviewStatus]

class TokenReviewSpec(TypedDict, total=False):
    token: Required[ReadOnly[str]]
    audiences: ReadOnly[Sequence[str]]

class TokenReviewStatus(TypedDict, total=False):
    authenticated: ReadOnly[bool]
    user: ReadOnly[UserInfo]
    error: ReadOnly[str]
    audiences: ReadOnly[Sequence[str]]

class UserInfo(TypedDict, total=False):
    username: ReadOnly[str]
    uid: ReadOnly[str]
    groups: ReadOnly[Sequence[str]]
    extra: ReadOnly[Mapping[str, Sequence[str]]]

class FieldSelectorAttributes(TypedDict, total=False):
    rawSelector: ReadOnly[str]
    requirements: ReadOnly[Sequence[FieldSelectorRequirement]]

class LabelSelectorAttributes(TypedDict, total=False):
    rawSelector: ReadOnly[str]
    requirements: ReadOnly[Sequence[LabelSelectorRequirement]]

class LocalSubjectAccessReview(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[SubjectAccessReviewSpec]]
    status: ReadOnly[SubjectAccessReviewStatus]

class NonResourceAttributes(TypedDict, total=False):
    path: ReadOnly[str]
    verb: ReadOnly[str]

class NonResourceRule(TypedDict, total=False):
    verbs: Required[ReadOnly[Sequence[str]]]
    nonResourceURLs: ReadOnly[Sequence[str]]

class ResourceAttributes(TypedDict, total=False):
    namespace: ReadOnly[str]
    verb: ReadOnly[str]
    group: ReadOnly[str]
    version: ReadOnly[str]
    resource: ReadOnly[str]
    subresource: ReadOnly[str]
    name: ReadOnly[str]
    fieldSelector: ReadOnly[FieldSelectorAttributes]
    labelSelector: ReadOnly[LabelSelectorAttributes]

class ResourceRule(TypedDict, total=False):
    verbs: Required[ReadOnly[Sequence[str]]]
    apiGroups: ReadOnly[Sequence[str]]
    resources: ReadOnly[Sequence[str]]
    resourceNames: ReadOnly[Sequence[str]]

class SelfSubjectAccessReview(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[SelfSubjectAccessReviewSpec]]
    status: ReadOnly[SubjectAccessReviewStatus]

class SelfSubjectAccessReviewSpec(TypedDict, total=False):
    resourceAttributes: ReadOnly[ResourceAttributes]
    nonResourceAttributes: ReadOnly[NonResourceAttributes]

class SelfSubjectRulesReview(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[SelfSubjectRulesReviewSpec]]
    status: ReadOnly[SubjectRulesReviewStatus]

class SelfSubjectRulesReviewSpec(TypedDict, total=False):
    namespace: ReadOnly[str]

class SubjectAccessReview(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[SubjectAccessReviewSpec]]
    status: ReadOnly[SubjectAccessReviewStatus]

class SubjectAccessReviewSpec(TypedDict, total=False):
    resourceAttributes: ReadOnly[ResourceAttributes]
    nonResourceAttributes: ReadOnly[NonResourceAttributes]
    user: ReadOnly[str]
    groups: ReadOnly[Sequence[str]]
    extra: ReadOnly[Mapping[str, Sequence[str]]]
    uid: ReadOnly[str]

class SubjectAccessReviewStatus(TypedDict, total=False):
    allowed: Required[ReadOnly[bool]]
    reason: ReadOnly[str]
    evaluationError: ReadOnly[str]
    denied: ReadOnly[bool]

class SubjectRulesReviewStatus(TypedDict, total=False):
    resourceRules: Required[ReadOnly[Sequence[ResourceRule]]]
    nonResourceRules: Required[ReadOnly[Sequence[NonResourceRule]]]
    incomplete: Required[ReadOnly[bool]]
    evaluationError: ReadOnly[str]

class CrossVersionObjectReference(TypedDict, total=False):
    kind: Required[ReadOnly[str]]
    name: Required[ReadOnly[str]]
    apiVersion: ReadOnly[str]

class HorizontalPodAutoscaler(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[HorizontalPodAutoscalerSpec]]
    status: ReadOnly[HorizontalPodAutoscalerStatus]

class HorizontalPodAutoscalerList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[HorizontalPodAutoscaler]]]

class HorizontalPodAutoscalerSpec(TypedDict, total=False):
    scaleTargetRef: Required[ReadOnly[CrossVersionObjectReference]]
    minReplicas: ReadOnly[int]
    maxReplicas: Required[ReadOnly[int]]
    targetCPUUtilizationPercentage: ReadOnly[int]

class HorizontalPodAutoscalerStatus(TypedDict, total=False):
    observedGeneration: ReadOnly[int]
    lastScaleTime: ReadOnly[Time]
    currentReplicas: Required[ReadOnly[int]]
    desiredReplicas: Required[ReadOnly[int]]
    currentCPUUtilizationPercentage: ReadOnly[int]

class Scale(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[ScaleSpec]
    status: ReadOnly[ScaleStatus]

class ScaleSpec(TypedDict, total=False):
    replicas: ReadOnly[int]

class ScaleStatus(TypedDict, total=False):
    replicas: Required[ReadOnly[int]]
    selector: ReadOnly[str]

class ContainerResourceMetricSource(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    target: Required[ReadOnly[MetricTarget]]
    container: Required[ReadOnly[str]]

class ContainerResourceMetricStatus(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    current: Required[ReadOnly[MetricValueStatus]]
    container: Required[ReadOnly[str]]

class AutoscalingV2CrossVersionObjectReference(TypedDict, total=False):
    kind: Required[ReadOnly[str]]
    name: Required[ReadOnly[str]]
    apiVersion: ReadOnly[str]

class ExternalMetricSource(TypedDict, total=False):
    metric: Required[ReadOnly[MetricIdentifier]]
    target: Required[ReadOnly[MetricTarget]]

class ExternalMetricStatus(TypedDict, total=False):
    metric: Required[ReadOnly[MetricIdentifier]]
    current: Required[ReadOnly[MetricValueStatus]]

class HPAScalingPolicy(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    value: Required[ReadOnly[int]]
    periodSeconds: Required[ReadOnly[int]]

class HPAScalingRules(TypedDict, total=False):
    selectPolicy: ReadOnly[str]
    policies: ReadOnly[Sequence[HPAScalingPolicy]]
    stabilizationWindowSeconds: ReadOnly[int]
    tolerance: ReadOnly[Quantity]

class AutoscalingV2HorizontalPodAutoscaler(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[AutoscalingV2HorizontalPodAutoscalerSpec]]
    status: ReadOnly[AutoscalingV2HorizontalPodAutoscalerStatus]

class HorizontalPodAutoscalerBehavior(TypedDict, total=False):
    scaleUp: ReadOnly[HPAScalingRules]
    scaleDown: ReadOnly[HPAScalingRules]

class HorizontalPodAutoscalerCondition(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    status: Required[ReadOnly[str]]
    lastTransitionTime: ReadOnly[Time]
    reason: ReadOnly[str]
    message: ReadOnly[str]

class AutoscalingV2HorizontalPodAutoscalerList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[AutoscalingV2HorizontalPodAutoscaler]]]

class AutoscalingV2HorizontalPodAutoscalerSpec(TypedDict, total=False):
    scaleTargetRef: Required[ReadOnly[AutoscalingV2CrossVersionObjectReference]]
    minReplicas: ReadOnly[int]
    maxReplicas: Required[ReadOnly[int]]
    metrics: ReadOnly[Sequence[MetricSpec]]
    behavior: ReadOnly[HorizontalPodAutoscalerBehavior]

class AutoscalingV2HorizontalPodAutoscalerStatus(TypedDict, total=False):
    observedGeneration: ReadOnly[int]
    lastScaleTime: ReadOnly[Time]
    currentReplicas: ReadOnly[int]
    desiredReplicas: Required[ReadOnly[int]]
    currentMetrics: ReadOnly[Sequence[MetricStatus]]
    conditions: ReadOnly[Sequence[HorizontalPodAutoscalerCondition]]

class MetricIdentifier(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    selector: ReadOnly[LabelSelector]

class MetricSpec(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    object: ReadOnly[ObjectMetricSource]
    pods: ReadOnly[PodsMetricSource]
    resource: ReadOnly[ResourceMetricSource]
    external: ReadOnly[ExternalMetricSource]
    containerResource: ReadOnly[ContainerResourceMetricSource]

class MetricStatus(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    object: ReadOnly[ObjectMetricStatus]
    pods: ReadOnly[PodsMetricStatus]
    resource: ReadOnly[ResourceMetricStatus]
    external: ReadOnly[ExternalMetricStatus]
    containerResource: ReadOnly[ContainerResourceMetricStatus]

class MetricTarget(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    value: ReadOnly[Quantity]
    averageValue: ReadOnly[Quantity]
    averageUtilization: ReadOnly[int]

class MetricValueStatus(TypedDict, total=False):
    value: ReadOnly[Quantity]
    averageValue: ReadOnly[Quantity]
    averageUtilization: ReadOnly[int]

class ObjectMetricSource(TypedDict, total=False):
    describedObject: Required[ReadOnly[AutoscalingV2CrossVersionObjectReference]]
    target: Required[ReadOnly[MetricTarget]]
    metric: Required[ReadOnly[MetricIdentifier]]

class ObjectMetricStatus(TypedDict, total=False):
    metric: Required[ReadOnly[MetricIdentifier]]
    current: Required[ReadOnly[MetricValueStatus]]
    describedObject: Required[ReadOnly[AutoscalingV2CrossVersionObjectReference]]

class PodsMetricSource(TypedDict, total=False):
    metric: Required[ReadOnly[MetricIdentifier]]
    target: Required[ReadOnly[MetricTarget]]

class PodsMetricStatus(TypedDict, total=False):
    metric: Required[ReadOnly[MetricIdentifier]]
    current: Required[ReadOnly[MetricValueStatus]]

class ResourceMetricSource(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    target: Required[ReadOnly[MetricTarget]]

class ResourceMetricStatus(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    current: Required[ReadOnly[MetricValueStatus]]

class CronJob(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[CronJobSpec]]
    status: ReadOnly[CronJobStatus]

class CronJobList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[CronJob]]]

class CronJobSpec(TypedDict, total=False):
    schedule: Required[ReadOnly[str]]
    startingDeadlineSeconds: ReadOnly[int]
    concurrencyPolicy: ReadOnly[str]
    suspend: ReadOnly[bool]
    jobTemplate: Required[ReadOnly[JobTemplateSpec]]
    successfulJobsHistoryLimit: ReadOnly[int]
    failedJobsHistoryLimit: ReadOnly[int]
    timeZone: ReadOnly[str]

class CronJobStatus(TypedDict, total=False):
    active: ReadOnly[Sequence[ObjectReference]]
    lastScheduleTime: ReadOnly[Time]
    lastSuccessfulTime: ReadOnly[Time]

class Job(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[JobSpec]
    status: ReadOnly[JobStatus]

class JobCondition(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    status: Required[ReadOnly[str]]
    lastProbeTime: ReadOnly[Time]
    lastTransitionTime: ReadOnly[Time]
    reason: ReadOnly[str]
    message: ReadOnly[str]

class JobList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[Job]]]

class JobSpec(TypedDict, total=False):
    parallelism: ReadOnly[int]
    completions: ReadOnly[int]
    activeDeadlineSeconds: ReadOnly[int]
    selector: ReadOnly[LabelSelector]
    manualSelector: ReadOnly[bool]
    template: Required[ReadOnly[PodTemplateSpec]]
    backoffLimit: ReadOnly[int]
    ttlSecondsAfterFinished: ReadOnly[int]
    completionMode: ReadOnly[str]
    suspend: ReadOnly[bool]
    podFailurePolicy: ReadOnly[PodFailurePolicy]
    backoffLimitPerIndex: ReadOnly[int]
    maxFailedIndexes: ReadOnly[int]
    podReplacementPolicy: ReadOnly[str]
    managedBy: ReadOnly[str]
    successPolicy: ReadOnly[SuccessPolicy]

class JobStatus(TypedDict, total=False):
    conditions: ReadOnly[Sequence[JobCondition]]
    startTime: ReadOnly[Time]
    completionTime: ReadOnly[Time]
    active: ReadOnly[int]
    succeeded: ReadOnly[int]
    failed: ReadOnly[int]
    completedIndexes: ReadOnly[str]
    uncountedTerminatedPods: ReadOnly[UncountedTerminatedPods]
    ready: ReadOnly[int]
    failedIndexes: ReadOnly[str]
    terminating: ReadOnly[int]

class JobTemplateSpec(TypedDict, total=False):
    metadata: ReadOnly[ObjectMeta]
    spec: ReadOnly[JobSpec]

class PodFailurePolicy(TypedDict, total=False):
    rules: Required[ReadOnly[Sequence[PodFailurePolicyRule]]]

class PodFailurePolicyOnExitCodesRequirement(TypedDict, total=False):
    containerName: ReadOnly[str]
    operator: Required[ReadOnly[str]]
    values: Required[ReadOnly[Sequence[int]]]

class PodFailurePolicyOnPodConditionsPattern(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    status: ReadOnly[str]

class PodFailurePolicyRule(TypedDict, total=False):
    action: Required[ReadOnly[str]]
    onExitCodes: ReadOnly[PodFailurePolicyOnExitCodesRequirement]
    onPodConditions: ReadOnly[Sequence[PodFailurePolicyOnPodConditionsPattern]]

class SuccessPolicy(TypedDict, total=False):
    rules: Required[ReadOnly[Sequence[SuccessPolicyRule]]]

class SuccessPolicyRule(TypedDict, total=False):
    succeededIndexes: ReadOnly[str]
    succeededCount: ReadOnly[int]

class UncountedTerminatedPods(TypedDict, total=False):
    succeeded: ReadOnly[Sequence[str]]
    failed: ReadOnly[Sequence[str]]

class CertificateSigningRequest(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[CertificateSigningRequestSpec]]
    status: ReadOnly[CertificateSigningRequestStatus]

class CertificateSigningRequestCondition(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    reason: ReadOnly[str]
    message: ReadOnly[str]
    lastUpdateTime: ReadOnly[Time]
    lastTransitionTime: ReadOnly[Time]
    status: Required[ReadOnly[str]]

class CertificateSigningRequestList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[CertificateSigningRequest]]]

class CertificateSigningRequestSpec(TypedDict, total=False):
    request: Required[ReadOnly[Bytes]]
    username: ReadOnly[str]
    uid: ReadOnly[str]
    groups: ReadOnly[Sequence[str]]
    usages: ReadOnly[Sequence[str]]
    extra: ReadOnly[Mapping[str, Sequence[str]]]
    signerName: Required[ReadOnly[str]]
    expirationSeconds: ReadOnly[int]

class CertificateSigningRequestStatus(TypedDict, total=False):
    conditions: ReadOnly[Sequence[CertificateSigningRequestCondition]]
    certificate: ReadOnly[Bytes]

class Lease(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[LeaseSpec]

class LeaseList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[Lease]]]

class LeaseSpec(TypedDict, total=False):
    holderIdentity: ReadOnly[str]
    leaseDurationSeconds: ReadOnly[int]
    acquireTime: ReadOnly[MicroTime]
    renewTime: ReadOnly[MicroTime]
    leaseTransitions: ReadOnly[int]
    strategy: ReadOnly[str]
    preferredHolder: ReadOnly[str]

class Endpoint(TypedDict, total=False):
    addresses: Required[ReadOnly[Sequence[str]]]
    conditions: ReadOnly[EndpointConditions]
    hostname: ReadOnly[str]
    targetRef: ReadOnly[ObjectReference]
    deprecatedTopology: ReadOnly[Mapping[str, str]]
    nodeName: ReadOnly[str]
    zone: ReadOnly[str]
    hints: ReadOnly[EndpointHints]

class EndpointConditions(TypedDict, total=False):
    ready: ReadOnly[bool]
    serving: ReadOnly[bool]
    terminating: ReadOnly[bool]

class EndpointHints(TypedDict, total=False):
    forZones: ReadOnly[Sequence[ForZone]]
    forNodes: ReadOnly[Sequence[ForNode]]

class DiscoveryV1EndpointPort(TypedDict, total=False):
    name: ReadOnly[str]
    protocol: ReadOnly[str]
    port: ReadOnly[int]
    appProtocol: ReadOnly[str]

class EndpointSlice(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    endpoints: ReadOnly[Sequence[Endpoint]]
    ports: ReadOnly[Sequence[DiscoveryV1EndpointPort]]
    addressType: Required[ReadOnly[str]]

class EndpointSliceList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[EndpointSlice]]]

class ForNode(TypedDict, total=False):
    name: Required[ReadOnly[str]]

class ForZone(TypedDict, total=False):
    name: Required[ReadOnly[str]]

class EventsV1Event(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    eventTime: Required[ReadOnly[MicroTime]]
    series: ReadOnly[EventsV1EventSeries]
    reportingController: ReadOnly[str]
    reportingInstance: ReadOnly[str]
    action: ReadOnly[str]
    reason: ReadOnly[str]
    regarding: ReadOnly[ObjectReference]
    related: ReadOnly[ObjectReference]
    note: ReadOnly[str]
    type: ReadOnly[str]
    deprecatedSource: ReadOnly[EventSource]
    deprecatedFirstTimestamp: ReadOnly[Time]
    deprecatedLastTimestamp: ReadOnly[Time]
    deprecatedCount: ReadOnly[int]

class EventsV1EventList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[EventsV1Event]]]

class EventsV1EventSeries(TypedDict, total=False):
    count: Required[ReadOnly[int]]
    lastObservedTime: Required[ReadOnly[MicroTime]]

class ExemptPriorityLevelConfiguration(TypedDict, total=False):
    nominalConcurrencyShares: ReadOnly[int]
    lendablePercent: ReadOnly[int]

class FlowDistinguisherMethod(TypedDict, total=False):
    type: Required[ReadOnly[str]]

class FlowSchema(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[FlowSchemaSpec]
    status: ReadOnly[FlowSchemaStatus]

class FlowSchemaCondition(TypedDict, total=False):
    type: ReadOnly[str]
    status: ReadOnly[str]
    lastTransitionTime: ReadOnly[Time]
    reason: ReadOnly[str]
    message: ReadOnly[str]

class FlowSchemaList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[FlowSchema]]]

class FlowSchemaSpec(TypedDict, total=False):
    priorityLevelConfiguration: Required[ReadOnly[PriorityLevelConfigurationReference]]
    matchingPrecedence: ReadOnly[int]
    distinguisherMethod: ReadOnly[FlowDistinguisherMethod]
    rules: ReadOnly[Sequence[PolicyRulesWithSubjects]]

class FlowSchemaStatus(TypedDict, total=False):
    conditions: ReadOnly[Sequence[FlowSchemaCondition]]

class GroupSubject(TypedDict, total=False):
    name: Required[ReadOnly[str]]

class LimitResponse(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    queuing: ReadOnly[QueuingConfiguration]

class LimitedPriorityLevelConfiguration(TypedDict, total=False):
    nominalConcurrencyShares: ReadOnly[int]
    limitResponse: ReadOnly[LimitResponse]
    lendablePercent: ReadOnly[int]
    borrowingLimitPercent: ReadOnly[int]

class NonResourcePolicyRule(TypedDict, total=False):
    verbs: Required[ReadOnly[Sequence[str]]]
    nonResourceURLs: Required[ReadOnly[Sequence[str]]]

class PolicyRulesWithSubjects(TypedDict, total=False):
    subjects: Required[ReadOnly[Sequence[Subject]]]
    resourceRules: ReadOnly[Sequence[ResourcePolicyRule]]
    nonResourceRules: ReadOnly[Sequence[NonResourcePolicyRule]]

class PriorityLevelConfiguration(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[PriorityLevelConfigurationSpec]
    status: ReadOnly[PriorityLevelConfigurationStatus]

class PriorityLevelConfigurationCondition(TypedDict, total=False):
    type: ReadOnly[str]
    status: ReadOnly[str]
    lastTransitionTime: ReadOnly[Time]
    reason: ReadOnly[str]
    message: ReadOnly[str]

class PriorityLevelConfigurationList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[PriorityLevelConfiguration]]]

class PriorityLevelConfigurationReference(TypedDict, total=False):
    name: Required[ReadOnly[str]]

class PriorityLevelConfigurationSpec(TypedDict, total=False):
    type: Required[ReadOnly[str]]
    limited: ReadOnly[LimitedPriorityLevelConfiguration]
    exempt: ReadOnly[ExemptPriorityLevelConfiguration]

class PriorityLevelConfigurationStatus(TypedDict, total=False):
    conditions: ReadOnly[Sequence[PriorityLevelConfigurationCondition]]

class QueuingConfiguration(TypedDict, total=False):
    queues: ReadOnly[int]
    handSize: ReadOnly[int]
    queueLengthLimit: ReadOnly[int]

class ResourcePolicyRule(TypedDict, total=False):
    verbs: Required[ReadOnly[Sequence[str]]]
    apiGroups: Required[ReadOnly[Sequence[str]]]
    resources: Required[ReadOnly[Sequence[str]]]
    clusterScope: ReadOnly[bool]
    namespaces: ReadOnly[Sequence[str]]

class ServiceAccountSubject(TypedDict, total=False):
    namespace: Required[ReadOnly[str]]
    name: Required[ReadOnly[str]]

class Subject(TypedDict, total=False):
    kind: Required[ReadOnly[str]]
    user: ReadOnly[UserSubject]
    group: ReadOnly[GroupSubject]
    serviceAccount: ReadOnly[ServiceAccountSubject]

class UserSubject(TypedDict, total=False):
    name: Required[ReadOnly[str]]

class ContainerMetrics(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    usage: Required[ReadOnly[Mapping[str, Quantity]]]

class NodeMetrics(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    timestamp: Required[ReadOnly[Time]]
    window: Required[ReadOnly[str]]
    usage: Required[ReadOnly[Mapping[str, Quantity]]]

class NodeMetricsList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[NodeMetrics]]]

class PodMetrics(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    timestamp: Required[ReadOnly[Time]]
    window: Required[ReadOnly[str]]
    containers: Required[ReadOnly[Sequence[ContainerMetrics]]]

class PodMetricsList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[PodMetrics]]]

class HTTPIngressPath(TypedDict, total=False):
    path: ReadOnly[str]
    backend: Required[ReadOnly[IngressBackend]]
    pathType: Required[ReadOnly[str]]

class HTTPIngressRuleValue(TypedDict, total=False):
    paths: Required[ReadOnly[Sequence[HTTPIngressPath]]]

class IPAddress(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[IPAddressSpec]]

class IPAddressList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[IPAddress]]]

class IPAddressSpec(TypedDict, total=False):
    parentRef: Required[ReadOnly[ParentReference]]

IPBlock = TypedDict(
    "IPBlock",
    {
        "cidr": Required[ReadOnly[str]],
        "except": ReadOnly[Sequence[str]],
    },
    total=False,
)

class Ingress(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[IngressSpec]
    status: ReadOnly[IngressStatus]

class IngressBackend(TypedDict, total=False):
    resource: ReadOnly[TypedLocalObjectReference]
    service: ReadOnly[IngressServiceBackend]

class IngressClass(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[IngressClassSpec]

class IngressClassList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[IngressClass]]]

class IngressClassParametersReference(TypedDict, total=False):
    apiGroup: ReadOnly[str]
    kind: Required[ReadOnly[str]]
    name: Required[ReadOnly[str]]
    scope: ReadOnly[str]
    namespace: ReadOnly[str]

class IngressClassSpec(TypedDict, total=False):
    controller: ReadOnly[str]
    parameters: ReadOnly[IngressClassParametersReference]

class IngressList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[Ingress]]]

class IngressLoadBalancerIngress(TypedDict, total=False):
    ip: ReadOnly[str]
    hostname: ReadOnly[str]
    ports: ReadOnly[Sequence[IngressPortStatus]]

class IngressLoadBalancerStatus(TypedDict, total=False):
    ingress: ReadOnly[Sequence[IngressLoadBalancerIngress]]

class IngressPortStatus(TypedDict, total=False):
    port: Required[ReadOnly[int]]
    protocol: Required[ReadOnly[str]]
    error: ReadOnly[str]

class IngressRule(TypedDict, total=False):
    host: ReadOnly[str]
    http: ReadOnly[HTTPIngressRuleValue]

class IngressServiceBackend(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    port: ReadOnly[ServiceBackendPort]

class IngressSpec(TypedDict, total=False):
    defaultBackend: ReadOnly[IngressBackend]
    tls: ReadOnly[Sequence[IngressTLS]]
    rules: ReadOnly[Sequence[IngressRule]]
    ingressClassName: ReadOnly[str]

class IngressStatus(TypedDict, total=False):
    loadBalancer: ReadOnly[IngressLoadBalancerStatus]

class IngressTLS(TypedDict, total=False):
    hosts: ReadOnly[Sequence[str]]
    secretName: ReadOnly[str]

class NetworkPolicy(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[NetworkPolicySpec]

class NetworkPolicyEgressRule(TypedDict, total=False):
    ports: ReadOnly[Sequence[NetworkPolicyPort]]
    to: ReadOnly[Sequence[NetworkPolicyPeer]]

NetworkPolicyIngressRule = TypedDict(
    "NetworkPolicyIngressRule",
    {
        "ports": ReadOnly[Sequence[NetworkPolicyPort]],
        "from": ReadOnly[Sequence[NetworkPolicyPeer]],
    },
    total=False,
)

class NetworkPolicyList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[NetworkPolicy]]]

class NetworkPolicyPeer(TypedDict, total=False):
    podSelector: ReadOnly[LabelSelector]
    namespaceSelector: ReadOnly[LabelSelector]
    ipBlock: ReadOnly[IPBlock]

class NetworkPolicyPort(TypedDict, total=False):
    protocol: ReadOnly[str]
    port: ReadOnly[IntOrString]
    endPort: ReadOnly[int]

class NetworkPolicySpec(TypedDict, total=False):
    podSelector: ReadOnly[LabelSelector]
    ingress: ReadOnly[Sequence[NetworkPolicyIngressRule]]
    egress: ReadOnly[Sequence[NetworkPolicyEgressRule]]
    policyTypes: ReadOnly[Sequence[str]]

class ParentReference(TypedDict, total=False):
    group: ReadOnly[str]
    resource: Required[ReadOnly[str]]
    namespace: ReadOnly[str]
    name: Required[ReadOnly[str]]

class ServiceBackendPort(TypedDict, total=False):
    name: ReadOnly[str]
    number: ReadOnly[int]

class ServiceCIDR(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[ServiceCIDRSpec]
    status: ReadOnly[ServiceCIDRStatus]

class ServiceCIDRList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[ServiceCIDR]]]

class ServiceCIDRSpec(TypedDict, total=False):
    cidrs: ReadOnly[Sequence[str]]

class ServiceCIDRStatus(TypedDict, total=False):
    conditions: ReadOnly[Sequence[Condition]]

class Overhead(TypedDict, total=False):
    podFixed: ReadOnly[Mapping[str, Quantity]]

class RuntimeClass(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    handler: Required[ReadOnly[str]]
    overhead: ReadOnly[Overhead]
    scheduling: ReadOnly[Scheduling]

class RuntimeClassList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[RuntimeClass]]]

class Scheduling(TypedDict, total=False):
    nodeSelector: ReadOnly[Mapping[str, str]]
    tolerations: ReadOnly[Sequence[Toleration]]

class Eviction(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    deleteOptions: ReadOnly[DeleteOptions]

class PodDisruptionBudget(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: ReadOnly[PodDisruptionBudgetSpec]
    status: ReadOnly[PodDisruptionBudgetStatus]

class PodDisruptionBudgetList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[PodDisruptionBudget]]]

class PodDisruptionBudgetSpec(TypedDict, total=False):
    minAvailable: ReadOnly[IntOrString]
    selector: ReadOnly[LabelSelector]
    maxUnavailable: ReadOnly[IntOrString]
    unhealthyPodEvictionPolicy: ReadOnly[str]

class PodDisruptionBudgetStatus(TypedDict, total=False):
    observedGeneration: ReadOnly[int]
    disruptedPods: ReadOnly[Mapping[str, Time]]
    disruptionsAllowed: ReadOnly[int]
    currentHealthy: ReadOnly[int]
    desiredHealthy: ReadOnly[int]
    expectedPods: ReadOnly[int]
    conditions: ReadOnly[Sequence[Condition]]

class AggregationRule(TypedDict, total=False):
    clusterRoleSelectors: ReadOnly[Sequence[LabelSelector]]

class ClusterRole(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    rules: ReadOnly[Sequence[PolicyRule]]
    aggregationRule: ReadOnly[AggregationRule]

class ClusterRoleBinding(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    subjects: ReadOnly[Sequence[RbacV1Subject]]
    roleRef: Required[ReadOnly[RoleRef]]

class ClusterRoleBindingList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[ClusterRoleBinding]]]

class ClusterRoleList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[ClusterRole]]]

class PolicyRule(TypedDict, total=False):
    verbs: Required[ReadOnly[Sequence[str]]]
    apiGroups: ReadOnly[Sequence[str]]
    resources: ReadOnly[Sequence[str]]
    resourceNames: ReadOnly[Sequence[str]]
    nonResourceURLs: ReadOnly[Sequence[str]]

class Role(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    rules: ReadOnly[Sequence[PolicyRule]]

class RoleBinding(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    subjects: ReadOnly[Sequence[RbacV1Subject]]
    roleRef: Required[ReadOnly[RoleRef]]

class RoleBindingList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[RoleBinding]]]

class RoleList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[Role]]]

class RoleRef(TypedDict, total=False):
    apiGroup: ReadOnly[str]
    kind: Required[ReadOnly[str]]
    name: Required[ReadOnly[str]]

class RbacV1Subject(TypedDict, total=False):
    kind: Required[ReadOnly[str]]
    apiGroup: ReadOnly[str]
    name: Required[ReadOnly[str]]
    namespace: ReadOnly[str]

class AllocatedDeviceStatus(TypedDict, total=False):
    driver: Required[ReadOnly[str]]
    pool: Required[ReadOnly[str]]
    device: Required[ReadOnly[str]]
    conditions: ReadOnly[Sequence[Condition]]
    data: ReadOnly[Any]
    networkData: ReadOnly[NetworkDeviceData]
    shareID: ReadOnly[str]

class AllocationResult(TypedDict, total=False):
    devices: ReadOnly[DeviceAllocationResult]
    nodeSelector: ReadOnly[NodeSelector]
    allocationTimestamp: ReadOnly[Time]

class CELDeviceSelector(TypedDict, total=False):
    expression: Required[ReadOnly[str]]

class CapacityRequestPolicy(TypedDict, total=False):
    default: ReadOnly[Quantity]
    validValues: ReadOnly[Sequence[Quantity]]
    validRange: ReadOnly[CapacityRequestPolicyRange]

class CapacityRequestPolicyRange(TypedDict, total=False):
    min: Required[ReadOnly[Quantity]]
    max: ReadOnly[Quantity]
    step: ReadOnly[Quantity]

class CapacityRequirements(TypedDict, total=False):
    requests: ReadOnly[Mapping[str, Quantity]]

class Counter(TypedDict, total=False):
    value: Required[ReadOnly[Quantity]]

class CounterSet(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    counters: Required[ReadOnly[Mapping[str, Counter]]]

class Device(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    attributes: ReadOnly[Mapping[str, DeviceAttribute]]
    capacity: ReadOnly[Mapping[str, DeviceCapacity]]
    consumesCounters: ReadOnly[Sequence[DeviceCounterConsumption]]
    nodeName: ReadOnly[str]
    nodeSelector: ReadOnly[NodeSelector]
    allNodes: ReadOnly[bool]
    taints: ReadOnly[Sequence[DeviceTaint]]
    bindsToNode: ReadOnly[bool]
    bindingConditions: ReadOnly[Sequence[str]]
    bindingFailureConditions: ReadOnly[Sequence[str]]
    allowMultipleAllocations: ReadOnly[bool]
    nodeAllocatableResourceMappings: ReadOnly[Mapping[str, NodeAllocatableResourceMapping]]

class DeviceAllocationConfiguration(TypedDict, total=False):
    source: Required[ReadOnly[str]]
    requests: ReadOnly[Sequence[str]]
    opaque: ReadOnly[OpaqueDeviceConfiguration]

class DeviceAllocationResult(TypedDict, total=False):
    results: ReadOnly[Sequence[DeviceRequestAllocationResult]]
    config: ReadOnly[Sequence[DeviceAllocationConfiguration]]

class DeviceAttribute(TypedDict, total=False):
    int: ReadOnly[int]
    bool: ReadOnly[bool]
    string: ReadOnly[str]
    version: ReadOnly[str]
    ints: ReadOnly[Sequence[int]]
    bools: ReadOnly[Sequence[bool]]
    strings: ReadOnly[Sequence[str]]
    versions: ReadOnly[Sequence[str]]

class DeviceCapacity(TypedDict, total=False):
    value: Required[ReadOnly[Quantity]]
    requestPolicy: ReadOnly[CapacityRequestPolicy]

class DeviceClaim(TypedDict, total=False):
    requests: ReadOnly[Sequence[DeviceRequest]]
    constraints: ReadOnly[Sequence[DeviceConstraint]]
    config: ReadOnly[Sequence[DeviceClaimConfiguration]]

class DeviceClaimConfiguration(TypedDict, total=False):
    requests: ReadOnly[Sequence[str]]
    opaque: ReadOnly[OpaqueDeviceConfiguration]

class DeviceClass(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[DeviceClassSpec]]

class DeviceClassConfiguration(TypedDict, total=False):
    opaque: ReadOnly[OpaqueDeviceConfiguration]

class DeviceClassList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[DeviceClass]]]

class DeviceClassSpec(TypedDict, total=False):
    selectors: ReadOnly[Sequence[DeviceSelector]]
    config: ReadOnly[Sequence[DeviceClassConfiguration]]
    extendedResourceName: ReadOnly[str]

class DeviceConstraint(TypedDict, total=False):
    requests: ReadOnly[Sequence[str]]
    matchAttribute: ReadOnly[str]
    distinctAttribute: ReadOnly[str]

class DeviceCounterConsumption(TypedDict, total=False):
    counterSet: Required[ReadOnly[str]]
    counters: Required[ReadOnly[Mapping[str, Counter]]]

class DeviceRequest(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    exactly: ReadOnly[ExactDeviceRequest]
    firstAvailable: ReadOnly[Sequence[DeviceSubRequest]]

class DeviceRequestAllocationResult(TypedDict, total=False):
    request: Required[ReadOnly[str]]
    driver: Required[ReadOnly[str]]
    pool: Required[ReadOnly[str]]
    device: Required[ReadOnly[str]]
    adminAccess: ReadOnly[bool]
    tolerations: ReadOnly[Sequence[DeviceToleration]]
    bindingConditions: ReadOnly[Sequence[str]]
    bindingFailureConditions: ReadOnly[Sequence[str]]
    shareID: ReadOnly[str]
    consumedCapacity: ReadOnly[Mapping[str, Quantity]]

class DeviceSelector(TypedDict, total=False):
    cel: ReadOnly[CELDeviceSelector]

class DeviceSubRequest(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    deviceClassName: Required[ReadOnly[str]]
    selectors: ReadOnly[Sequence[DeviceSelector]]
    allocationMode: ReadOnly[str]
    count: ReadOnly[int]
    tolerations: ReadOnly[Sequence[DeviceToleration]]
    capacity: ReadOnly[CapacityRequirements]

class DeviceTaint(TypedDict, total=False):
    key: Required[ReadOnly[str]]
    value: ReadOnly[str]
    effect: Required[ReadOnly[str]]
    timeAdded: ReadOnly[Time]

class DeviceToleration(TypedDict, total=False):
    key: ReadOnly[str]
    operator: ReadOnly[str]
    value: ReadOnly[str]
    effect: ReadOnly[str]
    tolerationSeconds: ReadOnly[int]

class ExactDeviceRequest(TypedDict, total=False):
    deviceClassName: Required[ReadOnly[str]]
    selectors: ReadOnly[Sequence[DeviceSelector]]
    allocationMode: ReadOnly[str]
    count: ReadOnly[int]
    adminAccess: ReadOnly[bool]
    tolerations: ReadOnly[Sequence[DeviceToleration]]
    capacity: ReadOnly[CapacityRequirements]

class NetworkDeviceData(TypedDict, total=False):
    interfaceName: ReadOnly[str]
    ips: ReadOnly[Sequence[str]]
    hardwareAddress: ReadOnly[str]

class NodeAllocatableResourceMapping(TypedDict, total=False):
    capacityKey: ReadOnly[str]
    allocationMultiplier: ReadOnly[Quantity]

class OpaqueDeviceConfiguration(TypedDict, total=False):
    driver: Required[ReadOnly[str]]
    parameters: Required[ReadOnly[Any]]

class ResourceV1ResourceClaim(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[ResourceClaimSpec]]
    status: ReadOnly[ResourceClaimStatus]

class ResourceClaimConsumerReference(TypedDict, total=False):
    apiGroup: ReadOnly[str]
    resource: Required[ReadOnly[str]]
    name: Required[ReadOnly[str]]
    uid: Required[ReadOnly[str]]

class ResourceClaimList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[ResourceV1ResourceClaim]]]

class ResourceClaimSpec(TypedDict, total=False):
    devices: ReadOnly[DeviceClaim]

class ResourceClaimStatus(TypedDict, total=False):
    allocation: ReadOnly[AllocationResult]
    reservedFor: ReadOnly[Sequence[ResourceClaimConsumerReference]]
    devices: ReadOnly[Sequence[AllocatedDeviceStatus]]

class ResourceClaimTemplate(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[ResourceClaimTemplateSpec]]

class ResourceClaimTemplateList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[ResourceClaimTemplate]]]

class ResourceClaimTemplateSpec(TypedDict, total=False):
    metadata: ReadOnly[ObjectMeta]
    spec: Required[ReadOnly[ResourceClaimSpec]]

class ResourcePool(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    generation: Required[ReadOnly[int]]
    resourceSliceCount: Required[ReadOnly[int]]

class ResourceSlice(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[ResourceSliceSpec]]

class ResourceSliceList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[ResourceSlice]]]

class ResourceSliceSpec(TypedDict, total=False):
    driver: Required[ReadOnly[str]]
    pool: Required[ReadOnly[ResourcePool]]
    nodeName: ReadOnly[str]
    nodeSelector: ReadOnly[NodeSelector]
    allNodes: ReadOnly[bool]
    devices: ReadOnly[Sequence[Device]]
    perDeviceNodeSelection: ReadOnly[bool]
    sharedCounters: ReadOnly[Sequence[CounterSet]]

class PriorityClass(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    value: ReadOnly[int]
    globalDefault: ReadOnly[bool]
    description: ReadOnly[str]
    preemptionPolicy: ReadOnly[str]

class PriorityClassList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[PriorityClass]]]

class CSIDriver(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[CSIDriverSpec]]

class CSIDriverList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[CSIDriver]]]

class CSIDriverSpec(TypedDict, total=False):
    attachRequired: ReadOnly[bool]
    podInfoOnMount: ReadOnly[bool]
    volumeLifecycleModes: ReadOnly[Sequence[str]]
    storageCapacity: ReadOnly[bool]
    fsGroupPolicy: ReadOnly[str]
    tokenRequests: ReadOnly[Sequence[StorageV1TokenRequest]]
    requiresRepublish: ReadOnly[bool]
    seLinuxMount: ReadOnly[bool]
    nodeAllocatableUpdatePeriodSeconds: ReadOnly[int]
    serviceAccountTokenInSecrets: ReadOnly[bool]
    preventPodSchedulingIfMissing: ReadOnly[bool]

class CSINode(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[CSINodeSpec]]

class CSINodeDriver(TypedDict, total=False):
    name: Required[ReadOnly[str]]
    nodeID: Required[ReadOnly[str]]
    topologyKeys: ReadOnly[Sequence[str]]
    allocatable: ReadOnly[VolumeNodeResources]

class CSINodeList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[CSINode]]]

class CSINodeSpec(TypedDict, total=False):
    drivers: Required[ReadOnly[Sequence[CSINodeDriver]]]

class CSIStorageCapacity(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    nodeTopology: ReadOnly[LabelSelector]
    storageClassName: Required[ReadOnly[str]]
    capacity: ReadOnly[Quantity]
    maximumVolumeSize: ReadOnly[Quantity]

class CSIStorageCapacityList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[CSIStorageCapacity]]]

class StorageClass(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    provisioner: Required[ReadOnly[str]]
    parameters: ReadOnly[Mapping[str, str]]
    reclaimPolicy: ReadOnly[str]
    mountOptions: ReadOnly[Sequence[str]]
    allowVolumeExpansion: ReadOnly[bool]
    volumeBindingMode: ReadOnly[str]
    allowedTopologies: ReadOnly[Sequence[TopologySelectorTerm]]

class StorageClassList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[StorageClass]]]

class StorageV1TokenRequest(TypedDict, total=False):
    audience: Required[ReadOnly[str]]
    expirationSeconds: ReadOnly[int]

class VolumeAttachment(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    spec: Required[ReadOnly[VolumeAttachmentSpec]]
    status: ReadOnly[VolumeAttachmentStatus]

class VolumeAttachmentList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[VolumeAttachment]]]

class VolumeAttachmentSource(TypedDict, total=False):
    persistentVolumeName: ReadOnly[str]
    inlineVolumeSpec: ReadOnly[PersistentVolumeSpec]

class VolumeAttachmentSpec(TypedDict, total=False):
    attacher: Required[ReadOnly[str]]
    source: Required[ReadOnly[VolumeAttachmentSource]]
    nodeName: Required[ReadOnly[str]]

class VolumeAttachmentStatus(TypedDict, total=False):
    attached: Required[ReadOnly[bool]]
    attachmentMetadata: ReadOnly[Mapping[str, str]]
    attachError: ReadOnly[VolumeError]
    detachError: ReadOnly[VolumeError]

class VolumeAttributesClass(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ObjectMeta]]
    driverName: Required[ReadOnly[str]]
    parameters: ReadOnly[Mapping[str, str]]

class VolumeAttributesClassList(TypedDict, total=False):
    apiVersion: Required[ReadOnly[str]]
    kind: Required[ReadOnly[str]]
    metadata: Required[ReadOnly[ListMeta]]
    items: Required[ReadOnly[Sequence[VolumeAttributesClass]]]

class VolumeError(TypedDict, total=False):
    time: ReadOnly[Time]
    message: ReadOnly[str]
    errorCode: ReadOnly[int]

class VolumeNodeResources(TypedDict, total=False):
    count: ReadOnly[int]
