/*
 * Names of the settings of plugins and provider types, and of the values they choose from, as people read them: the
 * catalogue explains them in both languages but calls them by their names in JSON.  tests/lint/field_labels.py compares
 * this table with the catalogue: one line for each name, in this form.
 */
export interface Label {
  en: string;
  zh: string;
}

export const FIELDS: Record<string, Label> = {
  algorithm: { en: 'Algorithm', zh: '算法' },
  allow: { en: 'Allow', zh: '允许' },
  ask_usage: { en: 'Ask for usage', zh: '索取用量' },
  ca_pem: { en: 'Certificates to trust', zh: '受信任的证书' },
  calls: { en: 'Calls at a time', zh: '并发调用数' },
  count: { en: 'Tokens that count', zh: '计入的令牌' },
  deny: { en: 'Deny', zh: '拒绝' },
  limit_by: { en: 'Limit by', zh: '限制维度' },
  message: { en: 'Message', zh: '提示语' },
  name: { en: 'Name', zh: '名称' },
  networks: { en: 'Networks', zh: '网段' },
  on_breach: { en: 'On breach', zh: '违规时' },
  on_outage: { en: 'On outage', zh: '计数器不可用时' },
  organization: { en: 'Organization', zh: '组织' },
  project: { en: 'Project', zh: '项目' },
  referer: { en: 'Referer', zh: '来源网站' },
  regex: { en: 'Regular expression', zh: '正则表达式' },
  reply_headers: { en: 'Headers for the refused client', zh: '拒绝时返回的响应头' },
  request_headers: { en: 'Client headers to forward', zh: '转发的请求头' },
  requests: { en: 'Requests', zh: '请求数' },
  reserve: { en: 'Reserve', zh: '预留' },
  rules: { en: 'Rules', zh: '规则' },
  shared: { en: 'Shared', zh: '共用计数器' },
  stream_only_models: { en: 'Models that only stream', zh: '仅支持流式的模型' },
  strip_reasoning: { en: 'Strip reasoning', zh: '移除思考内容' },
  targets: { en: 'Targets', zh: '适用目标' },
  timeout: { en: 'Timeout', zh: '超时' },
  title: { en: 'Title', zh: '应用名称' },
  token: { en: 'Bearer token', zh: 'Bearer 令牌' },
  tokens: { en: 'Tokens', zh: '令牌数' },
  urls: { en: 'Addresses', zh: '地址' },
  values: { en: 'Values', zh: '取值' },
  window: { en: 'Window', zh: '时间窗口' },
  with_body: { en: 'Send the body', zh: '发送请求内容' },
  workspace: { en: 'Workspace', zh: '业务空间' },
};

export const OPTIONS: Record<string, Label> = {
  all: { en: 'all', zh: '全部' },
  always: { en: 'always', zh: '始终' },
  api_key: { en: 'API key', zh: 'API 密钥' },
  auto: { en: 'automatic', zh: '自动' },
  clamp: { en: 'clamp to the nearest permitted value', zh: '改为允许的最近值' },
  closed: { en: 'refuse', zh: '拒绝' },
  completion: { en: 'answer', zh: '输出' },
  consumer: { en: 'consumer', zh: '消费者' },
  cookie: { en: 'cookie', zh: 'Cookie（按名称）' },
  default: { en: 'as in the settings', zh: '按系统设置' },
  fallback: { en: 'fallback targets', zh: '仅回退目标' },
  group: { en: 'group', zh: '消费者组' },
  header: { en: 'header', zh: '请求头' },
  ip: { en: 'client address', zh: '客户端地址' },
  local_share: { en: "this worker's share", zh: '按本节点份额' },
  model: { en: 'model', zh: '模型' },
  never: { en: 'never', zh: '从不' },
  no: { en: 'no', zh: '否' },
  open: { en: 'let pass', zh: '放行' },
  primary: { en: "the route's own targets", zh: '仅路由自身目标' },
  prompt: { en: 'prompt', zh: '输入' },
  query: { en: 'query parameter', zh: '查询参数' },
  refuse: { en: 'refuse', zh: '拒绝请求' },
  route: { en: 'route', zh: '路由' },
  sliding_window: { en: 'sliding window', zh: '滑动窗口' },
  token_bucket: { en: 'token bucket', zh: '令牌桶' },
  total: { en: 'all', zh: '输入与输出' },
  yes: { en: 'yes', zh: '是' },
};
