"""autoscaling/v2: HorizontalPodAutoscaler as it is stored."""
