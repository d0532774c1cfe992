"""The kinds of autoscaling/v1, one file each."""
