"""What OpenAPI documents say of object metadata in words: the one built-in type that every custom kind has, so that `kubectl explain` of a
custom kind has no blank page. Read by `minik.server.openapi_schemas`."""

from __future__ import annotations

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
OF_TYPE = {
    OBJECT_META: "ObjectMeta is what every object has besides its own content: its names, its place, its age and who it belongs to."
}
OF_FIELD = {
    OBJECT_META: {
        "annotations": "Annotations are notes for tools, of any content, that nothing selects by.",
        "creationTimestamp": "CreationTimestamp is a timestamp of the server's time when the object was created. Set by the server.",
        "deletionGracePeriodSeconds": "Number of seconds that the object has to end by itself after its deletion. Set by the server.",
        "deletionTimestamp": "DeletionTimestamp is the time at which the object may be removed. Set when it is deleted gracefully.",
        "finalizers": "Names of those who have something to do before the object may go; it stays until the list is empty.",
        "generateName": "GenerateName is a prefix to which the server adds a random ending, if there is no name.",
        "generation": "A number that grows with every change of what is wanted. Set by the server.",
        "labels": "Labels are pairs of words by which objects are selected.",
        "managedFields": "ManagedFields says which manager has set which fields. Kept by the server.",
        "name": "Name is unique in a namespace, for objects of one kind. Cannot be updated.",
        "namespace": "Namespace is the space within which the name is unique. Cannot be updated.",
        "ownerReferences": "The objects that this one depends on: when all of them are gone, it goes too.",
        "resourceVersion": "An opaque value that changes with every write of the object; an update that carries an old one is refused.",
        "selfLink": "Deprecated: selfLink is not set any more.",
        "uid": "UID is unique in time and space: no other object ever has it. Set by the server.",
    }
}
