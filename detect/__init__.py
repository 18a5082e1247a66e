"""Shows what models see: pictures and video in, detections and drawn pictures out. Converts and fetches nothing."""
