"""The bundled trainer: makes the models that are compared."""
