"""Many patients on several processes or machines: shards on Ray, devices over WebSocket and MQTT."""
