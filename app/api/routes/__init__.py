"""One router per resource.

An id in a path is written `{cycle_id:id}`: it has no colon, so that `/cycles/ID:open` is a path of
its own for every method.
"""

from starlette.convertors import Convertor, register_url_convertor


class _Id(Convertor[str]):
    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _Id())
