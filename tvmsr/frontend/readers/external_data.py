"""External data of ONNX files: weights in files beside the model. Nothing outside the model's folder is opened."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from tvmsr.errors import InputFileError
from tvmsr.frontend.readers.whole_file import read_whole, shown

if TYPE_CHECKING:
    import onnx

_EXTERNAL = 1  # TensorProto.EXTERNAL


class External:
    """The files that a model's tensors lie in: each is read once, all together are no larger than `most_bytes`."""

    def __init__(self, model: Path, most_bytes: int) -> None:
        self.model = model
        self.left = most_bytes
        self.files: dict[Path, bytes] = {}

    def take_in(self, tensor: onnx.TensorProto) -> None:
        """Put the values of a tensor that lie in another file into the tensor; leave others alone."""
        if tensor.data_location != _EXTERNAL and not tensor.external_data:
            return
        fields = {entry.key: entry.value for entry in tensor.external_data}
        whole = self._file(tensor.name, fields.get("location", ""))
        begin = self._number(tensor.name, fields.get("offset", "0"))
        end = begin + self._number(tensor.name, fields["length"]) if "length" in fields else max(begin, len(whole))
        if not begin <= end <= len(whole):
            raise InputFileError(
                f"{self.model}: the tensor {shown(tensor.name)} lies at bytes {begin} to {end} of "
                f"{shown(fields['location'])}, which has {len(whole)}"
            )
        tensor.raw_data = whole[begin:end]
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")

    def _file(self, name: str, location: str) -> bytes:
        folder = self.model.parent.resolve()
        path = (folder / location).resolve() if _is_inside(location) else folder.parent
        if not path.is_relative_to(folder) or path == folder:
            raise InputFileError(
                f"{self.model}: the tensor {shown(name)} lies in {shown(location)}, outside of the model's folder; "
                "put both files into one folder, no links"
            )
        if path not in self.files:
            if not path.is_file():
                raise InputFileError(
                    f"{self.model}: the values of its tensor {shown(name)} are in {shown(location)}, and there is no "
                    "such file beside it"
                )
            try:
                self.files[path] = read_whole(path, self.left)
            except InputFileError as error:
                raise InputFileError(f"{self.model}: of its tensor {shown(name)}: {error}") from error
            self.left -= len(self.files[path])
        return self.files[path]

    def _number(self, name: str, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise InputFileError(f"{self.model}: the tensor {shown(name)} lies at {shown(text)} of its file: no number")
        return int(text)


def _is_inside(location: str) -> bool:
    """A relative path, on any system, that does not go up."""
    parts = PureWindowsPath(location)
    absolute = PurePosixPath(location).is_absolute() or parts.drive or parts.root
    return bool(location) and "\0" not in location and not absolute and ".." not in parts.parts
