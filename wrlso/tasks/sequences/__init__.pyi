from .ehrlich import Ehrlich as Ehrlich
