"""autoscaling/v1: HorizontalPodAutoscaler as older clients see it. (Scale is a subresource: `server/subresources/scale.py`.)"""
