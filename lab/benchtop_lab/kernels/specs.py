"""All kernels of a person, as JupyterLab lists them: see places.py for where they are."""

import os
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel, _list_kernels_in

from benchtop_lab.kernels import places

ABOUT = "benchtop"  # of a kernel's metadata: what the Launcher shows it below


class KernelSpecs(KernelSpecManager):  # type: ignore[misc]
    """Jupyter's, with the kernels of environments, groups and accounts, found anew at each question.

    Upstream looks through all folders again for each kernel: too much on a shared file system.
    """

    def find_kernel_specs(self) -> dict[str, str]:
        """Kernel → its folder. Of two with one name, a group's goes before a person's own."""
        found: dict[str, str] = {}
        for folder in places.shared(os.environ):
            _add(found, folder)
        for name, path in super().find_kernel_specs().items():
            found.setdefault(name, path)
        for folder in places.published(os.environ):
            _add(found, folder)
        if self.allowed_kernelspecs:
            return {name: path for name, path in found.items() if name in self.allowed_kernelspecs}
        return found

    def _find_spec_directory(self, kernel_name: str) -> str | None:
        return self.find_kernel_specs().get(kernel_name)

    def _get_kernel_spec_by_name(self, kernel_name: str, resource_dir: str) -> KernelSpec:
        spec = super()._get_kernel_spec_by_name(kernel_name, resource_dir)
        if not isinstance(spec.metadata.get(ABOUT), dict):
            spec.metadata = {**spec.metadata, ABOUT: self._about(Path(resource_dir))}
        return spec

    def _about(self, folder: Path) -> dict[str, str]:
        """What a kernel belongs to that does not say so itself."""
        if folder.parent in places.shared(os.environ):
            return {"source": "group", "title": f"Kernels of {folder.parent.parent.name}"}
        own = (Path(self.user_kernel_dir), Path.home() / ".ipython" / "kernels")
        return (
            {"source": "own", "title": "Your own kernels"} if folder.parent in own else {"source": "facility"}
        )

    def get_all_specs(self) -> dict[str, Any]:
        """Each kernel that can be read."""
        found = {}
        for name, path in self.find_kernel_specs().items():
            try:
                found[name] = {
                    "resource_dir": path,
                    "spec": self._get_kernel_spec_by_name(name, path).to_dict(),
                }
            except NoSuchKernel:  # its provisioner is not there, as the log says
                continue
            except Exception:
                self.log.warning("kernel %s left out: %s cannot be read", name, path, exc_info=True)
        return found


def _add(found: dict[str, str], folder: Path) -> None:
    for name, path in _list_kernels_in(str(folder)).items():
        found.setdefault(name, path)
