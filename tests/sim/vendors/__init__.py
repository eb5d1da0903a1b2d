"""One file per vendor; what they share is in base.py."""
from .anthropic_api import Anthropic
from .dashscope import DashScope
from .deepseek import DeepSeek
from .openai_api import OpenAI
from .vllm import VLLM

VENDORS = {"openai": OpenAI, "deepseek": DeepSeek, "dashscope": DashScope, "vllm": VLLM,
           "anthropic": Anthropic}
