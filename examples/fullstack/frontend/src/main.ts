import "./style.css";

// While the worker is at something, ask for the list again.
async function refresh(): Promise<void> {
  const list = document.querySelector("#numbers");
  if (list?.querySelector(".waiting")) {
    const text = await (await fetch(location.href)).text();
    const page = new DOMParser().parseFromString(text, "text/html");
    list.replaceWith(page.querySelector("#numbers")!);
  }
  setTimeout(refresh, 500);
}

refresh();
