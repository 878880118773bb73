/** The words of the alerts page. */

export const alerts = {
  title: "Alerts",
  what: "alerts",
};
