import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

let headers = ["access-token": "YOUR_ACCESS_TOKEN"]

let request = NSMutableURLRequest(url: NSURL(string: "https://api-stg.transak.com/partners/api/v2/webhooks")! as URL,
                                        cachePolicy: .useProtocolCachePolicy,
                                    timeoutInterval: 10.0)
request.httpMethod = "GET"
request.allHTTPHeaderFields = headers

let done = DispatchSemaphore(value: 0)
let session = URLSession.shared
let dataTask = session.dataTask(with: request as URLRequest, completionHandler: { (data, response, error) -> Void in
  if (error != nil) {
    print(error as Any)
  } else {
    let httpResponse = response as? HTTPURLResponse
    print(httpResponse as Any)
    print(String(decoding: data ?? Data(), as: UTF8.self))
  }
  done.signal()
})

dataTask.resume()
done.wait()
