"""How every session's server behaves; a person's own ~/.jupyter may change the rest."""

from traitlets.config import get_config

c = get_config()  # noqa: F821  (traitlets gives it to configuration files)

c.ServerApp.terminado_settings = {"shell_command": ["/bin/bash", "--login"]}
# Extensions come with the image: a button that installs some into a read-only folder only disappoints.
c.LabApp.extension_manager = "readonly"
