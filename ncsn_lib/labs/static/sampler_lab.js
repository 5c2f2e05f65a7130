export const DEFAULTS = {};
export default { render() {} };
