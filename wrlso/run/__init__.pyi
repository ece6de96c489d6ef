from .backtest import backtest as backtest
from .backtest_result import BacktestResult as BacktestResult
from .loop import maximize as maximize
from .loop import minimize as minimize
