"""Admission webhooks: other people's programs that may change or refuse a write (admissionregistration.k8s.io/v1).

    hooks.py      the configurations as `Hook`s, kept in step with the cache
    matching.py   which hooks want to hear of a write; pure
    review.py     the AdmissionReview that is sent, and what an answer says; pure
    call.py       one hook asked over HTTPS, by way of its Service's pods or a URL
    dispatch.py   `Webhooks`: **start reading here**; `server/{drafts,resources}.py` and the connecting subresources call it

While nobody has configured any, a write pays for one look at an empty tuple.
"""
